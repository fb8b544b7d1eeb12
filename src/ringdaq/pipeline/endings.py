"""How a pipeline's process ends: its exit codes, and what the daemon makes of them."""

from __future__ import annotations

from ringdaq.errors import ConfigError, DaemonUnreachableError, MissingExtraError

ENDED, FAILED, USAGE, UNREACHABLE, UNAVAILABLE, SPOILT, AGAIN = 0, 1, 2, 3, 4, 5, 75
"""`SPOILT` is an end that was due, of a pipeline in which something has failed; after `AGAIN` there
is more to come."""
FINAL = {ENDED: "ended", USAGE: "failed", UNAVAILABLE: "failed", SPOILT: "failed"}
"""The exit codes after which it is not started again, and its state then; the daemon has the same.
"""


def exit_code(error: Exception) -> int:
    """Whether another try makes sense: not for a wrong text, nor for a package that is missing."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, DaemonUnreachableError):
        return UNREACHABLE
    return UNAVAILABLE if isinstance(error, MissingExtraError) else FAILED


def state_after(code: int) -> str:
    """A pipeline's state once its process has ended with a code."""
    return FINAL.get(code, "restarting")
