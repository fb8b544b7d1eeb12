"""How a ring is, at one moment."""

from __future__ import annotations

from typing import NamedTuple

from ringdaq.clock import NANOS_PER_SEC


class RingStatistics(NamedTuple):
    """The counters of one generation, consistent with each other.

    How far a reader is behind only that reader knows, as readers write nothing: see
    `Following.statistics`.
    """

    records: int
    """Ever committed."""
    rows: int
    """Ever committed."""
    oldest_sequence: int
    """The oldest record left; `next_sequence` if none is."""
    next_sequence: int
    capacity_bytes: int
    used_bytes: int
    first_nanos: int | None
    """Time of the oldest row left, `None` in an empty ring."""
    last_nanos: int | None
    """Time of the newest row."""
    writer_alive: bool
    """A living process holds the ring and has not closed it."""
    closed: bool
    """The writer closed it in good order."""
    held_rows: int = 0
    """Rows that are left."""

    @property
    def held_secs(self) -> float:
        """From the oldest row left to the newest."""
        if self.first_nanos is None or self.last_nanos is None:
            return 0.0
        return max(0, self.last_nanos - self.first_nanos) / NANOS_PER_SEC

    @property
    def rows_per_sec(self) -> float | None:
        """Mean rate of the rows that are left; `None` while there are too few to tell."""
        secs = self.held_secs
        return (self.held_rows - 1) / secs if secs > 0 and self.held_rows > 1 else None

    @property
    def bytes_per_sec(self) -> float | None:
        """Mean rate of what is left, frames and padding included."""
        secs = self.held_secs
        return self.used_bytes / secs if secs > 0 else None

    @property
    def full_secs(self) -> float | None:
        """How long the ring reaches back at this rate once it is full."""
        rate = self.bytes_per_sec
        return self.capacity_bytes / rate if rate else None

    @classmethod
    def from_core(
        cls, plain: tuple[int, int, int, int, int, int | None, int | None, bool, bool, int]
    ) -> RingStatistics:
        """Put the core's counters into words."""
        following, oldest, rows, held, used, first, last, closed, alive, capacity = plain
        return cls(
            records=following,
            rows=rows,
            oldest_sequence=oldest,
            next_sequence=following,
            capacity_bytes=capacity,
            used_bytes=used,
            first_nanos=first,
            last_nanos=last,
            writer_alive=alive,
            closed=closed,
            held_rows=held,
        )
