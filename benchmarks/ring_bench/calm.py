"""Whether others used the machine while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from benchmarks.ring_bench.probe import PAUSED, WORKING, Kind, Probe

T = TypeVar("T")

MOST = 0.1
"""Of a core: what others of this machine may use meanwhile."""
BLUR_SECS = 0.03
"""The kernel counts in ticks."""
TAKE_SECS = 2.0
"""How much of the patience one round may use, so that some is left for those that follow."""


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


class Calm:
    """Measures again what others have disturbed, for so many seconds in all.

    Whether a round counts is decided by what others did before, meanwhile and afterwards, never by
    what was measured in it. Without patience nothing is asked.
    """

    def __init__(self, patience_secs: float) -> None:
        self._left = patience_secs
        self._asks = patience_secs > 0
        self._probe = cache(Probe)
        self.kept = 0
        """Rounds, of those that were taken again the last."""
        self.disturbed = 0
        """Those of them that were disturbed, as patience had run out."""

    def take(
        self, measure: Callable[[], T], *, paused: bool = False, places: Sequence[int] = ()
    ) -> tuple[T, bool]:
        """One round, in calm if there is any, and whether there was.

        It is of steady work or of work after pauses, in this thread or on some processors.
        """
        self.kept += 1
        if not self._asks:
            return measure(), True
        kind = PAUSED if paused else WORKING
        for place in places or (None,):
            # What is quick there is found out the first time, which patience does not pay for.
            self._probe(kind, place)
        begun = time.monotonic()
        deadline = begun + min(TAKE_SECS, self._left)
        while True:
            quick = self._wait(kind, places, deadline)
            last, others = time.monotonic(), _others_secs()
            found = measure()
            alone = _others_secs() - others <= MOST * (time.monotonic() - last) + BLUR_SECS
            calm = self._is_quick(kind, places) and quick and alone
            if calm or time.monotonic() >= deadline:
                break
        self._left -= last - begun
        self.disturbed += not calm
        return found, calm

    def told(self) -> str:
        """How calm it was, in words."""
        return (
            f"others used more than {MOST:.0%} of a core, or beside the measuring {WORKING.what} "
            f"took {WORKING.slower} times or {PAUSED.what} {PAUSED.slower} times as long as at "
            f"best, in {self.disturbed} of {self.kept} rounds; such rounds were taken again while "
            "patience lasted, and count only where a figure has too few others"
        )

    def _wait(self, kind: Kind, places: Sequence[int], deadline: float) -> bool:
        """Whether it became quick in time."""
        while not (quick := self._is_quick(kind, places)) and time.monotonic() < deadline:
            pass
        return quick

    def _is_quick(self, kind: Kind, places: Sequence[int]) -> bool:
        return all(self._probe(kind, place).is_quick() for place in places or (None,))
