"""How far a script is, from the loops it is in."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator

from ringdaq.scripts.page import PROGRESS, Page


class Progress:
    """A figure from 0 to 1 that never falls; `None` until a loop of known length begins.

    Regions nest: each is the part of the run that the innermost loop turn or call stands for.
    """

    def __init__(self, page: Page) -> None:
        self._fractions = page.fractions
        self._stated = False
        self._regions = [(0.0, 1.0)]

    @property
    def fraction(self) -> float | None:
        """The figure that the parent reads."""
        fraction = self._fractions[PROGRESS]
        return None if fraction < 0 else fraction

    def state(self, fraction: float) -> None:
        """Take the script's own word; loops no longer count."""
        self._stated = True
        self._raise(fraction)

    def share(self, offset: float, weight: float) -> tuple[float, float]:
        """Where a part of the innermost region begins in the run, and how much of it it is."""
        if self._stated:
            return 0.0, 0.0
        start, span = self._regions[-1]
        return min(start + span * offset, 1.0), min(span * weight, 1.0)

    def enter(self, offset: float, weight: float) -> None:
        """Begin a statement that has this share of the innermost region."""
        start, span = self._regions[-1]
        self._regions.append((start + span * offset, span * weight))
        self._reach(start + span * offset)

    def leave(self) -> None:
        """End what `enter` began."""
        if len(self._regions) > 1:
            self._regions.pop()

    def each(self, items: Iterable[object], offset: float, weight: float) -> Iterator[object]:
        """The items, while they count as turns of a loop with this share."""
        start, span = self._regions[-1]
        start, span = start + span * offset, span * weight
        depth = len(self._regions)
        total = _length(items)
        if total and span and self.fraction is None:
            self._raise(0.0)
        try:
            for turn, item in enumerate(items):
                part = min(turn / total, 1.0) if total else 0.0
                self._regions[depth:] = [(start + span * part, span / total if total else 0.0)]
                self._reach(start + span * part)
                yield item
            self._reach(start + span)
        finally:
            del self._regions[depth:]

    def _reach(self, fraction: float) -> None:
        if not self._stated and self.fraction is not None:
            self._raise(fraction)

    def _raise(self, fraction: float) -> None:
        self._fractions[PROGRESS] = min(max(fraction, self._fractions[PROGRESS], 0.0), 1.0)


def _length(items: object) -> int:
    """How many items there will be, or 0 where nobody knows."""
    try:
        return operator.length_hint(items, 0)
    except (TypeError, ValueError, OverflowError):
        return 0


class CountedEnumerate(enumerate[object]):
    """`enumerate` that knows its length if its source does."""

    def __init__(self, iterable: Iterable[object], *_: object, **__: object) -> None:
        self._total = _length(iterable)

    def __length_hint__(self) -> int:
        return self._total


class CountedZip(zip):  # type: ignore[type-arg]
    """`zip` that knows its length if its sources do."""

    def __init__(self, *iterables: Iterable[object], **_: object) -> None:
        self._total = min(map(_length, iterables), default=0)

    def __length_hint__(self) -> int:
        return self._total
