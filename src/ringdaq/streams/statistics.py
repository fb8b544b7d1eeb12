"""How a ring is, at one moment."""

from __future__ import annotations

from typing import NamedTuple


class RingStatistics(NamedTuple):
    """The counters of one generation, consistent with each other."""

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

    @classmethod
    def from_core(
        cls, plain: tuple[int, int, int, int, int | None, int | None, bool, bool, int]
    ) -> RingStatistics:
        """Put the core's counters into words."""
        following, oldest, rows, used, first, last, closed, alive, capacity = plain
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
        )
