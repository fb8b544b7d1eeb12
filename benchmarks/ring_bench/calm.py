"""Whether others used the machine while something was measured."""

from __future__ import annotations

import bisect
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MESSAGE = {"a": [1.5, 2, "x"], "b": {"c": None}}

MOST = 0.1
"""Of a core: what others of this machine may use meanwhile."""
BLUR_SECS = 0.03
"""The kernel counts in ticks."""
PAUSE_SECS = 0.0015
BEST = 20
"""What a probe takes at best is what one in so many takes: a single one may be a fluke."""
LOOKS = 200
"""How often the best is looked for before the first round."""
TAKE_SECS = 2.0
"""How much of the patience one round may use, so that some is left for those that follow."""


def nanos_after_pauses(step: Callable[[], object], count: int) -> float:
    """The median of a step in ns, each after a sleep of more than a millisecond."""
    taken = []
    for _ in range(count):
        time.sleep(PAUSE_SECS)
        before = time.perf_counter_ns()
        step()
        taken.append(time.perf_counter_ns() - before)
    return statistics.median(taken)


def _busy_secs() -> float:
    """Processor time that the whole machine has used."""
    user, nice, system, _, _, interrupts, soft, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def _children_secs() -> float:
    """Processor time that children have used which still run."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    ticks = 0
    for pid in pids:
        # Behind the name, which may hold spaces; a child that has ended is a zombie until we wait.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _others_secs() -> float:
    """Processor time that others have used."""
    return _busy_secs() - sum(os.times()[:4]) - _children_secs()


class Probe:
    """Asks whether work that has nothing to do with the ring takes much longer than at best.

    Others on the same processors, whom a virtual machine cannot see, show in it.
    """

    def __init__(self, nanos: Callable[[], float], slower: float, words: str) -> None:
        self._nanos = nanos
        self._slower = slower
        self._looks: list[float] = []
        self.words = f"{words} took {slower} times as long as at best"

    def is_quick(self) -> bool:
        """Whether it is nearly as quick as at best in this run."""
        nanos = self._nanos()
        bisect.insort(self._looks, nanos)
        return nanos <= self._slower * self._looks[len(self._looks) // BEST]


class Calm:
    """Measures again what others have disturbed, for so many seconds in all.

    Whether a round counts is decided by what others did before, meanwhile and afterwards, never by
    what was measured in it. Without patience nothing is asked.
    """

    def __init__(self, patience_secs: float) -> None:
        self._left = patience_secs
        self._asks = patience_secs > 0
        self._working = Probe(_nanos_of_work, 1.25, "steady work")
        self._paused = Probe(_nanos_of_nothing, 1.5, "a call of nothing after a pause")
        self.kept = 0
        """Rounds, of those that were taken again the last."""
        self.disturbed = 0
        """Those of them that were disturbed, as patience had run out."""

    def take(self, measure: Callable[[], T], *, paused: bool = False) -> tuple[T, bool]:
        """One round, in calm if there is any, and whether there was; of work, or after pauses."""
        if not self._asks:
            self.kept += 1
            return measure(), True
        probe = self._paused if paused else self._working
        if not self.kept:
            for _ in range(LOOKS):
                self._working.is_quick()
                self._paused.is_quick()
        begun = time.monotonic()
        deadline = begun + min(TAKE_SECS, self._left)
        while True:
            last = time.monotonic()
            found, calm = _round(measure, probe)
            if calm or time.monotonic() >= deadline:
                break
        self._left -= last - begun
        self.kept += 1
        self.disturbed += not calm
        return found, calm

    def told(self) -> str:
        """How calm it was, in words."""
        return (
            f"others used more than {MOST:.0%} of a core, or beside the measuring "
            f"{self._working.words} or {self._paused.words}, in {self.disturbed} of {self.kept} "
            "rounds; such rounds were taken again while patience lasted, and count only where a "
            "figure has too few others"
        )


def _round(measure: Callable[[], T], probe: Probe) -> tuple[T, bool]:
    """What was measured, and whether nothing disturbed it."""
    begun, others = time.monotonic(), _others_secs()
    quick = probe.is_quick()
    found = measure()
    quick = probe.is_quick() and quick
    secs = time.monotonic() - begun
    return found, quick and _others_secs() - others <= MOST * secs + BLUR_SECS


def _nanos_of_nothing() -> float:
    return nanos_after_pauses(lambda: None, 10)


def _nanos_of_work() -> float:
    """A quarter of a millisecond of work without a pause, in ns.

    It is slower by half and more while others use the other half of the core.
    """
    before = time.perf_counter_ns()
    for _ in range(40):
        json.loads(json.dumps(MESSAGE))
    return time.perf_counter_ns() - before
