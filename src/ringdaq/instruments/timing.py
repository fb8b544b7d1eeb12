"""Time for instruments: seconds that only go forward, and waits that can be cut short.

An instrument gets its `Timer` by constructor, so that tests can turn the clock by hand.
"""

import math
import threading
import time
from typing import Protocol

from ringdaq.errors import LimitError


class Timer(Protocol):
    """A monotonic clock and the waiting that belongs to it."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def wait_for(self, changed: threading.Condition, seconds: float) -> None:
        """Wait on a condition that the caller holds, until notified or for so long at most."""

    def wait_until_set(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event for so long at most; returns whether it is set."""


class MonotonicTimer:
    """The machine's own clock."""

    now = staticmethod(time.monotonic)

    def wait_for(self, changed: threading.Condition, seconds: float) -> None:
        changed.wait(max(0.0, seconds))

    def wait_until_set(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))


class Pause:
    """A wait that somebody else can end."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._changed = threading.Condition()
        self._interrupts = 0

    def mark(self) -> int:
        """A moment; a sleep that is given it is ended by interrupts since then."""
        with self._changed:
            return self._interrupts

    def sleep(self, seconds: float, *, since: int | None = None) -> bool:
        """Wait so long; returns whether it came to its end, `False` after an interrupt."""
        until = self._timer.now() + seconds
        with self._changed:
            interrupts = self._interrupts if since is None else since
            while self._interrupts == interrupts:
                left = until - self._timer.now()
                if left <= 0:
                    return True
                self._timer.wait_for(self._changed, left)
        return False

    def interrupt(self) -> None:
        """End all waits that are under way."""
        with self._changed:
            self._interrupts += 1
            self._changed.notify_all()


def finite(value: float, what: str, *, instrument: str) -> float:
    """Return the number as a float; refuse NaN, infinities, and what is no number."""
    if type(value) is float and math.isfinite(value):
        return value  # nearly all are that, and a fast scan asks twice a point
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise LimitError(
            f"{instrument}: {what} must be a finite number; found {value!r}; nothing was done",
            instrument=instrument,
        )
    return float(value)


def positive(value: float, what: str, *, instrument: str) -> float:
    """Return a finite number above zero; refuse any other."""
    number = finite(value, what, instrument=instrument)
    if number <= 0:
        raise LimitError(
            f"{instrument}: {what} must be above 0; found {number:g}; nothing was done",
            instrument=instrument,
        )
    return number
