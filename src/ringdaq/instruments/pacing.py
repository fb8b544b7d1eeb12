"""Blocks of samples that come when they are due, on a schedule that never drifts."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import Timer


@dataclass
class Track:
    """One stream of samples to play."""

    sink: Sink
    rate: Fraction
    """Rows per second, exact."""
    rows: int
    """Of a full block."""
    block: Callable[[int, int], Any]
    """`block(first, rows)` makes rows `first` to `first + rows` as an array [rows, channels]."""
    total: int | None = None
    """How many rows there are; `None` is no end."""
    done: int = 0

    @property
    def ahead(self) -> int:
        """Rows of the next block; 0 at the end."""
        return self.rows if self.total is None else min(self.rows, self.total - self.done)

    @property
    def due(self) -> Fraction:
        """When the last row of the next block has been taken, in seconds from the start."""
        return (self.done + self.ahead) / self.rate


def block_rows(rate: Fraction, block_secs: float) -> int:
    """How many rows a block of about this length has, one at least."""
    return max(1, round(rate * Fraction(block_secs)))


def play(tracks: Sequence[Track], stop: threading.Event, timer: Timer) -> None:
    """Write each block when its last sample is due, until `stop` is set or all tracks end.

    Every time is reckoned from the start: waits that take too long do not add up. A block that is
    late goes out at once, with the time at which it should have been.
    """
    start_nanos, start = now_nanos(), timer.now()
    while not stop.is_set():
        waiting = [t for t in tracks if t.ahead > 0]
        if not waiting:
            return
        track = min(waiting, key=lambda t: t.due)
        if timer.wait_until_set(stop, start + float(track.due) - timer.now()):
            return
        first = start_nanos + int(track.done * NANOS_PER_SEC / track.rate)
        rows = track.ahead
        track.sink.write_block(first, track.block(track.done, rows))
        track.done += rows
