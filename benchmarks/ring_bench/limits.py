"""The limits: C programs that do only what cannot be avoided."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "limits"
PAGE_BYTES = 4096
"""What is left alone of a ring that a limit writes over: its header."""


class Limits:
    """The programs, compiled into a directory; their shared files lie in another."""

    def __init__(self, directory: Path, shared: Path) -> None:
        self._directory = directory
        self._shared = shared
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise FileNotFoundError("the limits need a C compiler; found none on PATH")
        for source in sorted(SOURCES.glob("*.c")):
            command = [compiler, "-O2", "-Wall", "-o", str(directory / source.stem), str(source)]
            subprocess.run(command, check=True)

    def run(self, name: str, *arguments: object, file: Path | None = None) -> list[float]:
        """The numbers that a program prints; it gets a new shared file unless one is given."""
        path = file if file is not None else self._shared / f"limit-{name}"
        words = [str(self._directory / name), str(path), *map(str, arguments)]
        try:
            done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
        finally:
            if file is None:
                path.unlink(missing_ok=True)
        return [float(word) for word in done.stdout.split()]

    def copy_nanos(self, ring: Path, region: int, record: int, copies: int) -> float:
        """Copying a record into the same memory that a ring lies in; nothing of the ring stays."""
        return self.run("copy", PAGE_BYTES, region - PAGE_BYTES, record, copies, file=ring)[0]
