"""Lets one thread sleep until somebody rings, or until one of many rings has a record."""

from __future__ import annotations

import contextlib
import math
import os
import select
from collections.abc import Iterable
from typing import Protocol


class Watch(Protocol):
    """Tells by a descriptor that a record is there."""

    def fileno(self) -> int:
        """What becomes readable."""

    def arm(self, sequence: int) -> bool:
        """Ask to be told of a record; True if there is something to find out already."""

    def disarm(self) -> None:
        """Ask no longer."""


class Alarm:
    """One thread sleeps; any thread, and any signal's handler, may ring."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def ring(self) -> None:
        """Let the sleeper wake up, or not fall asleep."""
        with contextlib.suppress(OSError):  # closed already
            os.eventfd_write(self._fd, 1)

    def sleep(self, timeout: float | None, rings: Iterable[tuple[Watch, int]] = ()) -> None:
        """Sleep for at most so many seconds, or until one of the records is there."""
        armed: list[Watch] = []
        try:
            for watch, sequence in rings:
                if watch.arm(sequence):
                    return
                armed.append(watch)
                self._poll.register(watch.fileno(), select.POLLIN)
            self._poll.poll(None if timeout is None else math.ceil(max(0.0, timeout) * 1e3))
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._fd)
        finally:
            for watch in armed:
                self._poll.unregister(watch.fileno())
                watch.disarm()

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)
        self._fd = -1
