"""One figure of the table, how much work goes into it, and how it is taken."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.ring_bench.calm import Calm


@dataclass
class Figure:
    """A line of the table."""

    id: str
    what: str
    value: float
    unit: str
    limit: float
    limit_is: str
    ratio: float
    """The ratio that `must_reach` speaks of, else value ÷ limit."""
    must_reach: str
    met: bool
    peers: dict[str, float] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """The figure as `results/ring.json` has it."""
        kept = ("id", "value", "unit", "limit", "ratio", "peers", "more", "must_reach", "met")
        return {name: getattr(self, name) for name in kept}


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int = 31
    """Of ours and of the limit in turn; the median counts."""
    share: float = 1.0
    """Of the full counts."""
    calm: Calm = field(default_factory=lambda: Calm(0.0))
    """Rounds that others disturb are taken again."""

    def count(self, full: int) -> int:
        """A count of things to do, at least a handful."""
        return max(5, int(full * self.share))


FULL = Effort(calm=Calm(300.0))
TINY = Effort(rounds=1, share=0.002)
"""Only proves that everything still runs."""


def nanos_each(work: Callable[[int], object], count: int) -> float:
    """How long one of `count` things took in ns."""
    # What only the first one pays does not count.
    work(min(count, 10))
    before = time.perf_counter_ns()
    work(count)
    return (time.perf_counter_ns() - before) / count


@contextmanager
def without_collections() -> Iterator[None]:
    """Nothing is searched for cycles meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def turns(
    effort: Effort,
    *measures: Callable[[], Sequence[float]],
    paused: bool = False,
    places: Sequence[int] = (),
) -> list[list[float]]:
    """For each measure the medians of its figures; the measures are taken in turn.

    They work after pauses or without, in this thread or on some processors.

    Rounds are short: a machine that others use too is calm for milliseconds only.
    """
    taken: list[list[tuple[Sequence[float], bool]]] = [[] for _ in measures]
    with without_collections():
        for _ in range(effort.rounds):
            for measure, found in zip(measures, taken, strict=True):
                found.append(effort.calm.take(measure, paused=paused, places=places))
    return [_medians(found) for found in taken]


def _medians(taken: Sequence[tuple[Sequence[float], bool]]) -> list[float]:
    """Of the calm rounds; of all where fewer than a third were."""
    calm = [figures for figures, undisturbed in taken if undisturbed]
    counted = calm if 3 * len(calm) >= len(taken) else [figures for figures, _ in taken]
    return [statistics.median(column) for column in zip(*counted, strict=True)]


def rounds(effort: Effort, measure: Callable[[], Sequence[float]]) -> list[float]:
    """The median of each of a round's figures: noise hits all of a round alike."""
    return turns(effort, measure)[0]


def in_turn(
    effort: Effort,
    *measures: Callable[[], float],
    paused: bool = False,
    places: Sequence[int] = (),
) -> list[float]:
    """The median of each measure."""
    single = (lambda measure=measure: [measure()] for measure in measures)
    return [median for (median,) in turns(effort, *single, paused=paused, places=places)]
