"""A window of five minutes of 32 × 4 kSPS, decimated to 2 000 points a channel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ringdaq.gateway.history import HistoryDesk
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

CHANNELS, RATE, SECS, BLOCK, POINTS = 32, 4000, 300, 100, 2000
TURNS = 5
START = 1_700_000_000_000_000_000
DTYPE = "float32"


@dataclass(frozen=True)
class Figures:
    """Medians, in seconds."""

    cold: float
    """The first query of a desk."""
    panned: float
    """One that is moved a little."""
    limit: float
    """Reading the bytes once."""


def measure_history(directory: Path, share: float) -> Figures:
    """Fill a ring with a part of the five minutes, and ask for all of it."""
    secs = max(10, int(SECS * share))
    reading = _reading_of(CHANNELS * RATE * secs * np.dtype(DTYPE).itemsize)
    with _filled(directory, secs):
        turns = [(*_of_a_desk(directory, secs), _seconds(reading)) for _ in range(TURNS)]
    return Figures(*map(statistics.median, zip(*turns, strict=True)))


def _of_a_desk(directory: Path, secs: int) -> tuple[float, float]:
    """Cold and panned, of a desk that knows nothing yet."""
    desk = HistoryDesk(directory, lambda: None)
    try:
        cold = _seconds(lambda: _ask(desk, 0, secs))
        panned = [_seconds(lambda n=n: _ask(desk, n, secs)) for n in range(1, 6)]
    finally:
        desk.close()
    return cold, statistics.median(panned)


def _filled(directory: Path, secs: int) -> StreamWriter:
    channels = tuple(Channel(f"c{n}", DTYPE, "uV") for n in range(CHANNELS))
    spec = StreamSpec("eeg", "samples", channels, sample_rate=Fraction(RATE))
    writer = StreamWriter.create(directory, spec, capacity_bytes=256 << 20)
    block = np.random.default_rng(1).normal(size=(BLOCK, CHANNELS)).astype(DTYPE)
    for n in range(RATE * secs // BLOCK):
        writer.write_block(START + n * BLOCK * 1_000_000_000 // RATE, block)
    return writer


def _ask(desk: HistoryDesk, shift: int, secs: int) -> None:
    since = START + shift * 1_000_000_000
    found = desk.query("eeg", since, START + secs * 1_000_000_000, max_points=POINTS)
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
