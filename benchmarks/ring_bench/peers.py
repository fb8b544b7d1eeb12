"""The second table: the same messages over ringdaq and its peers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "peers"
ENVIRONMENT = Path(__file__).parents[2] / ".venv-bench"
REQUIREMENTS = FOLDER / "requirements.txt"
INSTALL_SECS, MEASURE_SECS = 120, 40
SIZES = {64: "64 B", 51_200: "51.2 KB", 8 << 20: "8 MiB"}
PEERS = {
    "ringdaq": "ringdaq",
    "iceoryx2": "iceoryx2, with event",
    "zenoh": "zenoh, shared memory",
    "pyzmq": "pyzmq PUB/SUB, ipc",
    "ezmsg": "ezmsg",
    "lsl": "LSL (mne-lsl)",
    "redis": "Redis streams",
    "multiprocessing": "multiprocessing, Unix socket",
}
HOME = ("ringdaq", "multiprocessing")
"""What needs nothing but this project's own environment."""


@dataclass(frozen=True)
class Result:
    """One peer with one size of message."""

    peer: str
    size: int
    found: dict[str, float]
    version: str
    missing: str
    """Why there are no figures, "" if there are."""


def install() -> dict[str, str]:
    """Make the peers' environment; what could not be installed, and why."""
    wanted = REQUIREMENTS.read_text().split()
    stamp = ENVIRONMENT / f"stamp-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    python = ENVIRONMENT / "bin" / "python"
    if stamp.exists():
        return {}
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True, timeout=120)
    failed = {name: reason for name in wanted if (reason := _install(python, name))}
    if not failed:
        stamp.touch()
    return failed


def _install(python: Path, name: str) -> str:
    """Install one peer from where this machine's pip gets its packages; "" or what went wrong."""
    options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--retries", "1"]
    command = [str(python), "-m", "pip", "install", *options, name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not installed within {INSTALL_SECS} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["?"])[-1]


def measure(seconds: float) -> Iterator[Result]:
    """Every peer with every size."""
    for peer in PEERS:
        for size in SIZES:
            yield _measure(peer, size, seconds)


def _measure(peer: str, size: int, seconds: float) -> Result:
    python = sys.executable if peer in HOME else str(ENVIRONMENT / "bin" / "python")
    command = [python, str(FOLDER / "harness.py"), peer, str(size), str(seconds)]
    # Threads of numpy's own would spin beside the processes that are measured.
    surroundings = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=MEASURE_SECS,
            check=False,
            env=surroundings,
        )
        found = json.loads((done.stdout.strip().splitlines() or ['{"missing": "it died"}'])[-1])
    except subprocess.TimeoutExpired:
        found = {"missing": f"no end within {MEASURE_SECS} s"}
    except OSError as error:
        found = {"missing": f"the peers' environment is missing: {error.strerror}"}
    version, missing = found.pop("version", ""), found.pop("missing", "")
    return Result(peer, size, found, version, missing)
