"""Where and what is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Of one measurement, the same in both processes."""

    address: str
    """An empty directory of their own."""
    size: int
    """Bytes of a message."""
