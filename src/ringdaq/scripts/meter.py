"""Where a script is, what it has left, and whether it must end; ticked by every statement."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

from ringdaq.errors import ScriptLimitError
from ringdaq.scripts.interrupts import LimitReached, ScriptStopped
from ringdaq.scripts.page import GO_ON, LINE, STOP, WALL_LIMIT, Page
from ringdaq.scripts.spent import operations_spent, total_operations_spent, wall_spent

_LOOK_EVERY = 64
"""Operations between two looks for a stop; the budget is exact nevertheless."""
_TELLING_DEPTH = 200
"""Calls that telling the parent of a limit may nest."""


class Meter:
    """The operation budget, the current line, and the stop.

    A stop raises `ScriptStopped` at the next look or verb, but inside a `finally` block waits for
    its end: what closes a shutter must be able to. Once raised, `finally` and `except` blocks run
    undisturbed, and everything else is stopped again, so that `except: pass` does not help.
    A used-up limit goes the same way, with a fresh budget for each `finally` block.
    The parent sets a deadline to all of it.
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        page: Page,
        tell_limit: Callable[[ScriptLimitError], None],
    ) -> None:
        self.limit: ScriptLimitError | None = None
        self.delivered = False
        """Whether the script has been told to end."""
        self._operations = int(limits["operations"])
        self._total = self._total_left = int(limits["total_operations"])
        self._wall_secs = limits["wall_secs"]
        self._lines = page.words
        self._tell_limit = tell_limit
        self._shields = 0
        self._handlers = 0
        self._fuse = 0
        self._left = 0
        self.refill()

    def refill(self) -> None:
        """Start the budget anew."""
        self._total_left += self._fuse
        self._left = self._operations
        self._cut()

    def _cut(self) -> None:
        self._fuse = min(1 if self.delivered else _LOOK_EVERY, self._left, self._total_left)
        self._left -= self._fuse
        self._total_left -= self._fuse

    @property
    def line(self) -> int:
        """The current line."""
        return self._lines[LINE]

    def at(self, line: int) -> None:
        """Set the current line, without an operation."""
        self._lines[LINE] = line

    @property
    def closing(self) -> bool:
        """Whether what the script does now is tidying up, which a stop must not prevent."""
        return self.delivered or self._shields > 0

    def tick(self, line: int) -> None:
        """One operation on `line`."""
        self._lines[LINE] = line
        self._fuse -= 1
        if self._fuse < 0:
            self._look()

    def _look(self) -> None:
        self._fuse = 0
        self.check()
        if self._total_left <= 0:
            self._total_left = self._operations  # for tidying up
            self.refill()
            self.exceed(total_operations_spent(self._total, self.line))
        if self._left <= 0:
            self.refill()
            self.exceed(operations_spent(self._operations, self.line))
        self._cut()
        self._fuse -= 1

    def exceed(self, error: ScriptLimitError) -> NoReturn:
        """End the script because of `error`; but what ends it already, counts."""
        if not self._ending():
            self._tell(error)
        self.delivered = True
        raise LimitReached(error)

    def _tell(self, error: ScriptLimitError) -> None:
        """Tell the parent; a script that has filled its stack must not be able to prevent it."""
        depth = sys.getrecursionlimit()
        sys.setrecursionlimit(depth + _TELLING_DEPTH)
        try:
            self._tell_limit(error)
            self.limit = error
        finally:
            sys.setrecursionlimit(depth)

    def check(self) -> None:
        """Raise if the script must end, and may be interrupted here."""
        if not self._ending() or self._shields or (self.delivered and self._handlers):
            return
        self.delivered = True
        raise LimitReached(self.limit) if self.limit else ScriptStopped("the run was stopped")

    def _ending(self) -> bool:
        if self.limit is None and self._lines[STOP] == WALL_LIMIT:
            self.limit = wall_spent(self._wall_secs, self.line)
        return self.limit is not None or self._lines[STOP] != GO_ON

    def shield(self) -> None:
        """Enter a `finally` block."""
        self._shields += 1

    def unshield(self) -> None:
        """Leave it."""
        self._shields -= 1

    def handle(self) -> None:
        """Enter an `except` block."""
        self._handlers += 1

    def unhandle(self) -> None:
        """Leave it."""
        self._handlers -= 1
