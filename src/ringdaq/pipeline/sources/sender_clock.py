"""The clock of an LSL stream's sender, and this machine's."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.clock import NANOS_PER_SEC, boot_anchor

SAME_CLOCK_SECS = 0.001
"""Clocks closer than this are one: no two machines were started within a millisecond, and what is
measured between a clock and itself is the network's delay."""
CORRECT_SECS = 5.0
"""How often the sender's clock is compared; liblsl measures it about as often."""


class SenderClock:
    """Turns a sender's stamps into times of ringdaq's clock."""

    def __init__(self, inlet: Any, timeout_secs: float) -> None:
        """Compare the clocks once; raises `TimeoutError` where the sender does not answer."""
        self._inlet, self._timeout_secs = inlet, timeout_secs
        self._due, self._secs = 0.0, 0.0
        self._correction()

    def nanos(self, stamps: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Stamps in seconds of the sender's clock as int64 ns since the epoch."""
        own = (stamps + self._correction()) * NANOS_PER_SEC
        return np.rint(own).astype(np.int64) + boot_anchor()

    def _correction(self) -> float:
        """Seconds between the sender's clock and this one, asked for now and then."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + CORRECT_SECS
            found = float(self._inlet.time_correction(self._timeout_secs))
            self._secs = found if abs(found) > SAME_CLOCK_SECS else 0.0
        return self._secs
