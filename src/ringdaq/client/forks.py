"""What a fork does to clients: gRPC's threads are not in the new process, and calls would hang."""

from __future__ import annotations

import os

from ringdaq.errors import ServiceError

# That the clients are closed again does not help: gRPC ends its threads some time later.
_used = _spoilt = False


def opened() -> None:
    """Note that there is a client; raises `ServiceError` where it could not call."""
    global _used
    check()
    _used = True


def check() -> None:
    """Raise `ServiceError` in a process that was forked from one that had a client."""
    if _spoilt:
        raise ServiceError(
            "this process was forked from one that had connected before, so its calls would hang; "
            "start processes with multiprocessing's method 'spawn', or connect only after the fork"
        )


def _after_fork() -> None:
    global _spoilt
    _spoilt = _used


os.register_at_fork(after_in_child=_after_fork)
