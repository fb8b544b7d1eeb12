"""The same work by hand in C."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.pipeline.work import SOS

SOURCE = Path(__file__).parents[1] / "limits" / "pipeline" / "chain.c"


class Limits:
    """A C program, compiled for this machine."""

    def __init__(self, programs: Path, rings: Path) -> None:
        self._program = programs / "chain"
        self._ring = rings / "limit.ring"
        flags = ["-O3", "-march=native", "-ffast-math"]
        command = ["cc", *flags, "-o", str(self._program), str(SOURCE), "-lm"]
        subprocess.run(command, check=True, timeout=60)

    def measure(self) -> dict[str, tuple[float, float]]:
        """p50 and p99 in microseconds of each part."""
        self._ring.unlink(missing_ok=True)
        words = [str(self._program), str(self._ring), *(repr(float(c)) for c in SOS.ravel())]
        done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
        rows = (line.split() for line in done.stdout.splitlines())
        return {name: (float(p50) / 1e3, float(p99) / 1e3) for name, p50, p99 in rows}
