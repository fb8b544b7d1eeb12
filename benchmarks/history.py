"""A window of five minutes of 32 × 4 kSPS, decimated to 2 000 points a channel."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.gateway.history import HistoryDesk
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

CHANNELS, RATE, SECS, BLOCK, POINTS = 32, 4000, 300, 100, 2000
START = 1_700_000_000_000_000_000
DTYPE = "float32"


def measure_history() -> list[dict[str, Any]]:
    """Rows of the table: the first query, and one that is moved a little."""
    directory = Path(tempfile.mkdtemp(prefix="ringdaq-bench-", dir="/dev/shm"))
    desk = HistoryDesk(directory, lambda: None)
    try:
        with _filled(directory):
            limit = _seconds(_reading_of(CHANNELS * RATE * SECS * np.dtype(DTYPE).itemsize))
            cold = _seconds(lambda: _ask(desk, 0))
            panned = min(_seconds(lambda n=n: _ask(desk, n)) for n in range(1, 6))
    finally:
        desk.close()
        shutil.rmtree(directory, ignore_errors=True)
    return [_row("history_5min", cold, limit), _row("history_5min_panning", panned, limit)]


def _filled(directory: Path) -> StreamWriter:
    channels = tuple(Channel(f"c{n}", DTYPE, "uV") for n in range(CHANNELS))
    spec = StreamSpec("eeg", "samples", channels, sample_rate=Fraction(RATE))
    writer = StreamWriter.create(directory, spec, capacity_bytes=256 << 20)
    block = np.random.default_rng(1).normal(size=(BLOCK, CHANNELS)).astype(DTYPE)
    for n in range(RATE * SECS // BLOCK):
        writer.write_block(START + n * BLOCK * 1_000_000_000 // RATE, block)
    return writer


def _ask(desk: HistoryDesk, shift: int) -> None:
    since = START + shift * 1_000_000_000
    found = desk.query("eeg", since, START + SECS * 1_000_000_000, max_points=POINTS)
    assert found.folded
    assert len(found.channels) == CHANNELS


def _reading_of(size: int) -> Callable[[], object]:
    """Reading as many bytes once, which no query can undercut without having read them before."""
    held = np.ones(size // 8, np.int64)
    return held.sum


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _row(name: str, seconds: float, limit: float) -> dict[str, Any]:
    value, bound = seconds * 1e3, limit * 1e3
    return {"id": name, "value": value, "unit": "ms", "limit": bound, "ratio": value / bound,
            "peers": {}}  # fmt: skip


if __name__ == "__main__":
    for row in measure_history():
        print(json.dumps(row))
