"""Lets one thread sleep until somebody rings, or until one of many rings has a record."""

from __future__ import annotations

import contextlib
import math
import os
import select
import time
from collections.abc import Sequence

from ringdaq.recorder.native import Sleeper, Watch


class Alarm:
    """One thread sleeps; any thread, and any signal's handler, may ring."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._sleeper = Sleeper()
        self._wakes = self._sleeper.wakes()

    def ring(self) -> None:
        """Let the sleeper wake up, or not fall asleep."""
        self._sleeper.wake()
        with contextlib.suppress(OSError, ValueError):  # closed already
            os.eventfd_write(self._fd, 1)

    def sleep(self, timeout: float | None, rings: Sequence[tuple[Watch, int]] = ()) -> None:
        """Sleep for at most so many seconds, or until one of the records is there."""
        if rings and timeout is not None and len(rings) <= Sleeper.MOST_RINGS:
            self._sleep_on(rings, timeout)
            # A ring that is left in the descriptor only makes a later `poll` return early.
            if self._sleeper.wakes() == self._wakes:
                return
        else:
            self._poll_all(timeout, rings)
        self._wakes = self._sleeper.wakes()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def _sleep_on(self, rings: Sequence[tuple[Watch, int]], timeout: float) -> None:
        """One wake-up instead of two: no other thread hears of the record first."""
        end = time.monotonic() + timeout
        while not self._sleeper.sleep(self._wakes, rings, end - time.monotonic()):
            if time.monotonic() >= end:
                return

    def _poll_all(self, timeout: float | None, rings: Sequence[tuple[Watch, int]]) -> None:
        armed: list[Watch] = []
        try:
            for watch, sequence in rings:
                if watch.arm(sequence):
                    return
                armed.append(watch)
                self._poll.register(watch.fileno(), select.POLLIN)
            self._poll.poll(None if timeout is None else math.ceil(max(0.0, timeout) * 1e3))
        finally:
            for watch in armed:
                self._poll.unregister(watch.fileno())
                watch.disarm()

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)
        self._fd = -1
