"""A way to wake the main thread, from any thread and from any signal.

A lock is no such way: the kernel may hand a signal to another thread, and Python's handler then
waits until the main thread wakes by itself. So the main thread sleeps on a pipe, and Python writes
into that pipe when a signal comes, whichever thread it comes to.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal


class Bell:
    """Made, waited on and closed by the main thread; anybody may ring."""

    def __init__(self) -> None:
        self._hear, self._rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = signal.set_wakeup_fd(self._rope, warn_on_full_buffer=False)

    def ring(self) -> None:
        """Wake whoever waits."""
        with contextlib.suppress(OSError):  # full is rung, closed is over
            os.write(self._rope, b".")

    def wait(self) -> None:
        """Sleep until somebody rings or a signal comes."""
        select.select([self._hear], [], [])
        with contextlib.suppress(BlockingIOError):
            os.read(self._hear, 4096)

    def close(self) -> None:
        """Let the pipe go."""
        signal.set_wakeup_fd(self._before)
        os.close(self._rope)
        os.close(self._hear)
