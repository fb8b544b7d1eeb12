"""What ends a script from outside.

Not `Exception`s, so that a script's `except Exception` does not swallow them.
"""

from __future__ import annotations

from ringdaq.errors import ScriptLimitError


class ScriptStopped(BaseException):
    """Somebody stopped the run."""


class LimitReached(BaseException):
    """A budget is used up."""

    def __init__(self, error: ScriptLimitError) -> None:
        super().__init__(str(error))
        self.error = error
