"""Whether a command may still be taken back by whoever asked for it."""

from __future__ import annotations

import threading
from contextvars import ContextVar


class Ticket:
    """A command's: it may be taken back until the command begins; any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self.withdrawn = False
        """Whether it was taken back in time: the command has not begun, and will not."""

    def begin(self) -> bool:
        """Whether the command may be carried out; it cannot be taken back any more then."""
        with self._lock:
            self._begun = not self.withdrawn
            return self._begun

    def withdraw(self) -> None:
        """Take the command back; one that has begun goes on."""
        with self._lock:
            self.withdrawn = not self._begun


TICKET: ContextVar[Ticket | None] = ContextVar("ticket", default=None)
"""That of the command that a thread works on."""
