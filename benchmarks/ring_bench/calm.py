"""Whether others used the machine while something was measured."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MOST = 0.1
"""Of a core: what others of this machine may use meanwhile."""
BLUR_SECS = 0.03
"""The kernel counts in ticks."""
SLOWER = 1.5
"""So much longer than at best in this run a call of nothing may take after a pause.

Others on the same processors, whom a virtual machine cannot see, show in it: they fill the caches.
"""
CALLS = 20
PAUSE_SECS = 0.0015
BUSY_SLOWER = 1.25
"""So much longer than at best in this run some work without a pause may take.

In it shows who shares a core: it is slower by half and more while the other half is in use.
"""
STINTS, MESSAGES = 5, 40
MESSAGE = {"a": [1.5, 2, "x"], "b": {"c": None}}
LOOKS = 40
"""How often the best is looked for before the first round."""
ROUND_SECS = 4.0
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
    """Asks whether something takes much longer than it did at best."""

    def __init__(self, nanos: Callable[[], float], slower: float) -> None:
        self._nanos = nanos
        self._slower = slower
        self._best = math.inf

    def is_quick(self) -> bool:
        """Whether it is nearly as quick as ever; the first time is the best so far."""
        nanos = self._nanos()
        self._best = min(self._best, nanos)
        return nanos <= self._slower * self._best


class Calm:
    """Measures again what others have disturbed, for so many seconds in all.

    Whether a round counts is decided by what others did before, meanwhile and afterwards, never by
    what was measured in it. Without patience nothing is asked.
    """

    def __init__(self, patience_secs: float) -> None:
        self._asks = patience_secs > 0
        self._left = patience_secs
        self._probes = (Probe(_nanos_of_stint, BUSY_SLOWER), Probe(_nanos_of_nothing, SLOWER))
        self.kept = 0
        """Rounds, of those that were taken again the last."""
        self.disturbed = 0
        """Those of them that were disturbed, as patience had run out."""

    def take(self, measure: Callable[[], T]) -> tuple[T, bool]:
        """One round, measured in calm if there is any; and whether there was."""
        if not self.kept and self._asks:
            for _ in range(LOOKS):
                self._is_quick()
        begun = time.monotonic()
        deadline = begun + min(ROUND_SECS, self._left)
        while True:
            last = time.monotonic()
            found, calm = self._round(measure)
            if calm or time.monotonic() >= deadline:
                break
            self._wait(deadline)
        self._left -= last - begun
        self.kept += 1
        self.disturbed += not calm
        return found, calm

    def told(self) -> str:
        """How calm it was, in words."""
        return (
            f"others used more than {MOST:.0%} of a core, or a call of nothing after a pause took "
            f"{SLOWER} times or steady work {BUSY_SLOWER} times as long as at best, in "
            f"{self.disturbed} of {self.kept} rounds of measuring; such rounds were taken again "
            "while patience lasted, and count only where a figure has too few others"
        )

    def _round(self, measure: Callable[[], T]) -> tuple[T, bool]:
        if not self._asks:
            return measure(), True
        quick = self._is_quick()
        begun, others = time.monotonic(), _others_secs()
        found = measure()
        secs = time.monotonic() - begun
        calm = _others_secs() - others <= MOST * secs + BLUR_SECS
        return found, self._is_quick() and quick and calm

    def _wait(self, deadline: float) -> None:
        """Let others end what they do."""
        while time.monotonic() < deadline and not self._is_quick():
            pass

    def _is_quick(self) -> bool:
        return all(probe.is_quick() for probe in self._probes)


def _nanos_of_nothing() -> float:
    return nanos_after_pauses(lambda: None, CALLS)


def _nanos_of_stint() -> float:
    """The median of a stint of work without a pause in ns."""
    taken = []
    for _ in range(STINTS):
        before = time.perf_counter_ns()
        for _ in range(MESSAGES):
            json.loads(json.dumps(MESSAGE))
        taken.append(time.perf_counter_ns() - before)
    return statistics.median(taken)
