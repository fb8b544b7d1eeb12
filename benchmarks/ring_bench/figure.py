"""One figure of the table, how much work goes into it, and how it is taken."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
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


FULL = Effort(calm=Calm(150.0))
TINY = Effort(rounds=1, share=0.002)
"""Only proves that everything still runs."""


def nanos_each(work: Callable[[int], object], count: int) -> float:
    """How long one of `count` things took in ns; the garbage collector is off meanwhile."""
    # What only the first one pays does not count.
    work(min(count, 10))
    gc.collect()
    gc.disable()
    try:
        before = time.perf_counter_ns()
        work(count)
        return (time.perf_counter_ns() - before) / count
    finally:
        gc.enable()


def rounds(effort: Effort, measure: Callable[[], Sequence[float]]) -> list[float]:
    """The median of each of a round's figures: noise hits all of a round alike.

    Rounds are short: a machine that others use too is calm for parts of a second only.
    """
    taken = [effort.calm.take(measure) for _ in range(effort.rounds)]
    calm = [found for found, undisturbed in taken if undisturbed]
    counted = calm if len(calm) > len(taken) // 3 else [found for found, _ in taken]
    return [statistics.median(column) for column in zip(*counted, strict=True)]


def in_turn(effort: Effort, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure, all of them taken in every round."""
    return rounds(effort, lambda: [measure() for measure in measures])
