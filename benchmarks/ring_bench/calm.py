"""Whether others used the machine while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MOST = 0.1
"""Of a core: what others may use meanwhile."""
BLUR_SECS = 0.03
"""The kernel counts in ticks."""
LOOK_SECS = 0.25


def _busy_secs() -> float:
    """Processor time that the whole machine has used."""
    user, nice, system, _, _, interrupts, soft, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def _others_secs() -> float:
    """Processor time that others have used; of our children only those that have ended are ours."""
    return _busy_secs() - sum(os.times()[:4])


class Calm:
    """Measures again what others have disturbed, for so many seconds in all."""

    def __init__(self, patience_secs: float) -> None:
        self._left = patience_secs
        self.kept = 0
        """Rounds that count."""
        self.disturbed = 0
        """Those of them that were disturbed, as patience had run out."""

    def take(self, measure: Callable[[], T]) -> T:
        """One round, measured in calm if there is any."""
        while True:
            begun, others = time.monotonic(), _others_secs()
            found = measure()
            secs = time.monotonic() - begun
            calm = _others_secs() - others <= MOST * secs + BLUR_SECS
            if calm or self._left <= 0:
                self.kept += 1
                self.disturbed += not calm
                return found
            self._wait()
            self._left -= time.monotonic() - begun

    def told(self) -> str:
        """How calm it was, in words."""
        return (
            f"others used more than {MOST:.0%} of a core in {self.disturbed} of {self.kept} "
            "rounds of measuring; such rounds were taken again while patience lasted"
        )

    def _wait(self) -> None:
        """Let others end what they do."""
        deadline = time.monotonic() + self._left
        while time.monotonic() < deadline:
            others = _others_secs()
            time.sleep(LOOK_SECS)
            if _others_secs() - others <= MOST * LOOK_SECS:
                return
