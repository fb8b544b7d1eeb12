"""Confinement of the script's process; the one place where it is applied.

Called in the child before it has seen the script's text, after everything it needs is imported.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
MAX_DESCRIPTORS = 32
_MOST_DESCRIPTORS = 1 << 20
MEMORY_RESERVE_BYTES = 32 << 20
"""Between the soft and the hard limit, so that a script out of memory can still say so."""


class ConfinementError(OSError):
    """The kernel refused a restriction."""


def confine(memory_bytes: int, *, parent: int, keep: int) -> None:
    """Give up what a script does not need.

    `parent` is the process whose end must end this one; `keep` is the one descriptor that stays.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above could tell
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # numpy's libraries give up where they cannot start the threads that they would like.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    _leave_directory()
    os.closerange(3, keep)
    os.closerange(keep + 1, _MOST_DESCRIPTORS)
    for limit, value in _limits(memory_bytes).items():
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (_at_most(value[0], hard), _at_most(value[1], hard)))


def free_reserve() -> None:
    """Let the process use its last bit of memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _limits(memory_bytes: int) -> dict[int, tuple[int, int]]:
    return {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes + MEMORY_RESERVE_BYTES),
        resource.RLIMIT_CORE: (0, 0),
        # Also bounds memfd files, which the limit on the address space does not.
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (MAX_DESCRIPTORS, MAX_DESCRIPTORS),
        # Counts the user's other processes too, so only "none at all" can be meant safely.
        resource.RLIMIT_NPROC: (0, 0),
    }


def _at_most(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _leave_directory() -> None:
    """Remove the private working directory but stay in it: nothing can be made there any more."""
    os.rmdir(os.getcwd())


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise ConfinementError(ctypes.get_errno(), f"prctl({option}) was refused")
