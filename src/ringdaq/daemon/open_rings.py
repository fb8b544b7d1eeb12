"""Rings that the daemon lists and has recorded: its own, and those of other processes."""

from __future__ import annotations

import logging
from math import ceil
from pathlib import Path
from typing import Protocol

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import CorruptRecordError, StreamError
from ringdaq.model import StreamSpec
from ringdaq.streams import RingStatistics, StreamReader

log = logging.getLogger(__name__)


class OpenRing(Protocol):
    """What is asked of a ring, whoever writes it."""

    spec: StreamSpec
    path: Path
    generation: str

    def statistics(self) -> RingStatistics:
        """The ring's counters."""


class ForeignRing:
    """A ring whose writer lives in another process."""

    def __init__(self, path: Path, generation: str, owner: str) -> None:
        """Look at a ring; raises `StreamError` if it is not the one that was named."""
        self.owner = owner
        """Whose stream it is."""
        self._reader = StreamReader.open(path)
        if self._reader.generation != generation:
            raise StreamError(
                f"the ring should be of the generation {generation}; "
                f"found {self._reader.generation}: {path}"
            )
        self.spec = self._reader.spec
        self.path, self.generation = path, generation
        self._last = self._reader.statistics()

    def statistics(self) -> RingStatistics:
        """The ring's counters; the last that made sense, should its writer have damaged it."""
        try:
            self._last = self._reader.statistics()
        except CorruptRecordError as error:
            log.error("a ring is damaged: %s: %s", error, self.path)
        return self._last

    def wait_for_first(self, timeout: float) -> bool:
        """Wait for a record; returns whether the ring has, or had, one."""
        self._reader.wait(0, timeout)
        return self.statistics().records > 0

    def first_nanos(self) -> int | None:
        """The time of its first row, reckoned back from the oldest that is left."""
        now = self.statistics()
        if now.first_nanos is None or self.spec.sample_rate is None:
            return now.first_nanos
        gone = now.rows - now.held_rows
        return now.first_nanos - round(gone * NANOS_PER_SEC / self.spec.sample_rate)


def missed_rows(before: OpenRing, after: ForeignRing, since_nanos: int) -> int:
    """Rows that a stream of samples lacks between two generations, from a moment on.

    They are those of an even beat that goes on from the last row; 0 where none can be counted.
    """
    rate, last, first = after.spec.sample_rate, before.statistics().last_nanos, after.first_nanos()
    if rate is None or last is None or first is None:
        return 0
    beats = round((first - last) * rate / NANOS_PER_SEC) - 1
    too_early = ceil((since_nanos - last) * rate / NANOS_PER_SEC) - 1
    return max(0, beats - max(0, too_early))
