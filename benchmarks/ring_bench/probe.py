"""Work that has nothing to do with the ring, and tells whether a processor is quick just now."""

from __future__ import annotations

import bisect
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

MESSAGE = {"a": [1.5, 2, "x"], "b": {"c": None}}
PAUSE_SECS = 0.0015
BEST = 20
"""What a probe takes at best is what one in so many takes: a single one may be a fluke."""
LOOKS = 200
"""How often the best is looked for to begin with."""


def nanos_after_pauses(step: Callable[[], object], count: int) -> float:
    """The median of a step in ns, each after a sleep of more than a millisecond."""
    taken = []
    for _ in range(count):
        time.sleep(PAUSE_SECS)
        before = time.perf_counter_ns()
        step()
        taken.append(time.perf_counter_ns() - before)
    return statistics.median(taken)


def _nanos_of_nothing() -> float:
    return nanos_after_pauses(lambda: None, 6)


def _nanos_of_work() -> float:
    """A quarter of a millisecond of work without a pause, in ns."""
    before = 0
    # First to have it in the caches.
    for count in (10, 40):
        before = time.perf_counter_ns()
        for _ in range(count):
            json.loads(json.dumps(MESSAGE))
    return time.perf_counter_ns() - before


@dataclass(frozen=True)
class Kind:
    """What a probe does, and how much longer than at best it may take."""

    nanos: Callable[[], float]
    slower: float
    what: str


WORKING = Kind(_nanos_of_work, 1.25, "steady work")
"""Slower by half and more while others use the other half of a core."""
PAUSED = Kind(_nanos_of_nothing, 1.5, "a call of nothing after a pause")
"""Slower where others have filled the caches meanwhile."""


class Probe:
    """Asks whether a processor is nearly as quick as at best in this run.

    Others on it, whom a virtual machine cannot see, show in what it takes.
    """

    def __init__(self, kind: Kind, place: int | None = None) -> None:
        self._kind = kind
        self._place = place
        self._taken: list[float] = []
        for _ in range(LOOKS):
            self._look()

    def is_quick(self) -> bool:
        """One look; of the processor at a place, or of the one that this thread is on."""
        return self._look() <= self._kind.slower * self._taken[len(self._taken) // BEST]

    def _look(self) -> float:
        home = os.sched_getaffinity(0)
        if self._place is not None:
            os.sched_setaffinity(0, {self._place})
        try:
            nanos = self._kind.nanos()
        finally:
            os.sched_setaffinity(0, home)
        bisect.insort(self._taken, nanos)
        return nanos
