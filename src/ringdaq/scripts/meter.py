"""Where a script is, what it has left, and whether it must end; ticked by every statement."""

from __future__ import annotations

import time
from collections.abc import Callable

from ringdaq.errors import ScriptLimitError
from ringdaq.scripts.interrupts import LimitReached, ScriptStopped

_LOOK_EVERY = 64
"""Statements between two looks at the clock; the budget is exact nevertheless."""
REPORT_SECS = 0.1


class Meter:
    """The operation budget, the current line, and the stop.

    A stop raises `ScriptStopped` at the next tick or verb, but inside a `finally` block waits for
    its end: what closes a shutter must be able to. Once raised, `finally` and `except` blocks run
    undisturbed, and everything else is stopped again, so that `except: pass` does not help.
    A used-up limit goes the same way, with a fresh budget for each `finally` block.
    The parent sets a deadline to all of it.
    """

    def __init__(self, operations: int, report: Callable[[], None]) -> None:
        self.line = 0
        self.limit: ScriptLimitError | None = None
        self.delivered = False
        """Whether the script has been told to end."""
        self._operations = operations
        self._report = report
        self._stopping = False
        self._shields = 0
        self._handlers = 0
        self._fuse = 0
        self._left = 0
        self._next_report = time.monotonic() + REPORT_SECS
        self.refill()

    def refill(self) -> None:
        """Start the budget anew."""
        self._left = self._operations
        self._cut()

    def _cut(self) -> None:
        self._fuse = min(1 if self.ending else _LOOK_EVERY, self._left)
        self._left -= self._fuse

    @property
    def ending(self) -> bool:
        return self._stopping or self.limit is not None

    @property
    def closing(self) -> bool:
        """Whether what the script does now is tidying up, which a stop must not prevent."""
        return self.delivered or self._shields > 0

    def tick(self, line: int) -> None:
        """One operation on `line`."""
        self.line = line
        self._fuse -= 1
        if self._fuse < 0:
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_SECS
            self._report()
        self.check()
        if self._left <= 0:
            self._use_up()
        self._cut()
        self._fuse -= 1

    def _use_up(self) -> None:
        self.refill()
        self.exceed(
            ScriptLimitError(
                f"a script may do {self._operations} operations between two verbs; used up at "
                f"line {self.line}; call a verb or sleep(), or raise 'operations' in the rig file",
                limit="operations",
                line=self.line,
            )
        )

    def exceed(self, error: ScriptLimitError) -> None:
        """End the script because of `error`; the first one counts."""
        if self.limit is None:
            self.limit = error
        self.delivered = True
        self._report()
        raise LimitReached(self.limit)

    def ask_to_stop(self, limit: ScriptLimitError | None = None) -> None:
        """From now on ticks and verbs raise; `limit` when a budget and not a person asks."""
        if self.ending:
            return
        self._stopping, self.limit = limit is None, limit
        self._cut()

    def check(self) -> None:
        """Raise if the script must end, and may be interrupted here."""
        if not self.ending or self._shields or (self.delivered and self._handlers):
            return
        self.delivered = True
        raise LimitReached(self.limit) if self.limit else ScriptStopped("the run was stopped")

    def shield(self) -> None:
        self._shields += 1

    def unshield(self) -> None:
        self._shields -= 1

    def handle(self) -> None:
        self._handlers += 1

    def unhandle(self) -> None:
        self._handlers -= 1
