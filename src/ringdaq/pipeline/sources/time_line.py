"""Puts samples on gapless stretches, and counts what is missing between them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.clock import NANOS_PER_SEC

Run = tuple[int, int, int, int]
"""Of an array's rows: the first, the end, time of the stretch's sample 0, the first's place."""


@dataclass
class TimeLine:
    """Times by counting samples, as long as these agree with the stamps that they come with.

    A stamp further than the tolerance from where it is due begins a new stretch, so every sample's
    time is within the tolerance of its stamp, and jitter below it does no harm. If no sample is
    missing before it, as the source's clock runs at another speed, the places go on and only their
    origin moves.
    """

    rate: Fraction
    """In hertz, exact."""
    tolerance_nanos: int
    gaps: int = 0
    """New stretches that lack samples before them."""
    lost_samples: int = 0
    """That should have been there, by the stamps or by the source's own count."""
    moved: int = 0
    """Origins moved without a loss: the source's clock runs at another speed, or was set."""
    _origin_nanos: int = 0
    _next_sample: int = 0
    _follows_nanos: int | None = None

    def place(self, first_nanos: int, rows: int) -> tuple[int, int]:
        """Where a block lies whose first sample has that stamp: stretch's origin, first sample."""
        if self._follows_nanos is None or not self._due(first_nanos):
            self._begin(first_nanos)
        at = self._next_sample
        self._next_sample += rows
        self._follows_nanos = first_nanos + self.nanos(rows)
        return self._origin_nanos, at

    def place_all(self, stamps: npt.NDArray[np.int64]) -> list[Run]:
        """Where samples lie that have a stamp each: runs without a gap, in order."""
        runs: list[Run] = []
        first = 0
        while first < len(stamps):
            head = int(stamps[first])
            origin, at = self.place(head, 0)
            rows = self._agreeing(stamps[first:], origin, at)
            self._next_sample += rows
            self._follows_nanos = int(stamps[first + rows - 1]) + self.nanos(1)
            runs.append((first, first + rows, origin, at))
            first += rows
        return runs

    def lose(self, samples: int) -> None:
        """Count samples that the source knows to be lost, and begin a new stretch."""
        self.gaps += 1
        self.lost_samples += samples
        self._follows_nanos = None

    def nanos(self, samples: int) -> int:
        """How long so many samples take."""
        return int(samples * NANOS_PER_SEC / self.rate)

    def counts(self) -> dict[str, int]:
        """The three counters by name."""
        return {"gaps": self.gaps, "lost_samples": self.lost_samples, "moved": self.moved}

    def _due(self, stamp_nanos: int) -> bool:
        due = self._origin_nanos + self.nanos(self._next_sample)
        return abs(stamp_nanos - due) <= self.tolerance_nanos

    def _agreeing(self, stamps: npt.NDArray[np.int64], origin: int, at: int) -> int:
        """How many stamps from the first on lie where they are due; one at least."""
        place: npt.NDArray[Any] = np.arange(len(stamps)) / float(self.rate) * NANOS_PER_SEC
        due = origin + self.nanos(at) + place
        off = np.flatnonzero(np.abs(stamps - due) > self.tolerance_nanos)
        return max(1, int(off[0])) if len(off) else len(stamps)

    def _begin(self, first_nanos: int) -> None:
        if self._follows_nanos is not None:
            late = Fraction(first_nanos - self._follows_nanos, NANOS_PER_SEC)
            lost = round(late * self.rate)
            self.gaps += lost > 0
            self.moved += lost <= 0
            self.lost_samples += max(0, lost)
            if lost == 0:
                self._origin_nanos = first_nanos - self.nanos(self._next_sample)
                return
        self._origin_nanos, self._next_sample = first_nanos, 0
