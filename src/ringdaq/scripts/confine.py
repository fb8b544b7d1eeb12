"""Confinement of the script's process; the one place where it is applied.

Called in the child after everything that the script may import is imported, and before anything
looks at the script's text.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from ringdaq.scripts import landlock, seccomp

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522
_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7
NOBODY = 65534
"""The user and group that scripts of a daemon of root's run as."""
MAX_DESCRIPTORS = 32
_MOST_DESCRIPTORS = 1 << 20
_LONGEST_SECS = 1 << 30
MEMORY_RESERVE_BYTES = 32 << 20
"""Between the soft and the hard limit, so that a script out of memory can still say so."""


class ConfinementError(OSError):
    """The kernel refused a restriction."""


def confine(memory_bytes: int, *, cpu_secs: float, parent: int, keep: int) -> None:
    """Give up what a script does not need.

    `parent` is the process whose end must end this one; `keep` is the one descriptor that stays.
    Landlock and seccomp are applied where the kernel offers them, see `sandbox.py`.
    Raises `ConfinementError` where it refuses what it offers.
    """
    os.closerange(3, keep)
    os.closerange(keep + 1, _MOST_DESCRIPTORS)
    _become_nobody()
    die_with(parent)  # again: a change of user has undone it
    for limit, value in _limits(memory_bytes, cpu_secs).items():
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (_at_most(value[0], hard), _at_most(value[1], hard)))
    seal()


def leave_directory() -> None:
    """Remove the private working directory but stay in it: nothing can be made there any more."""
    os.rmdir(os.getcwd())


def die_with(parent: int) -> None:
    """End as soon as the parent's thread does that started this process."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above could tell


def seal() -> None:
    """Close the kernel to this process, for ever, as far as the kernel can do that."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    version = landlock.abi()
    if version:
        landlock.restrict(version)
    filtered = seccomp.lacking() is None
    if filtered:
        seccomp.install()
    if version or filtered:
        _try_the_door()


def free_reserve() -> None:
    """Let the process use its last bit of memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _try_the_door() -> None:
    """A kernel may take a restriction and not keep to it: emulated ones have."""
    try:
        os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    raise ConfinementError("the kernel took the restrictions of a script and does not enforce them")


def _become_nobody() -> None:
    """Give up root and every capability."""
    if os.geteuid() == 0 and _may_change_user():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    if libc.capset(header, none) != 0:
        raise ConfinementError(ctypes.get_errno(), "giving up the capabilities was refused")


def _may_change_user() -> bool:
    """Whether this root can, and can still kill the process that has."""
    status = _text("/proc/self/status")
    held = int(status.partition("\nCapEff:")[2].split()[0], 16)
    wanted = (_CAP_KILL, _CAP_SETGID, _CAP_SETUID)
    return all(held >> number & 1 for number in wanted) and _users_exist()


def _users_exist() -> bool:
    """Whether this user namespace has a nobody; one made for a single user has not."""
    return all(
        any(
            int(first) <= NOBODY < int(first) + int(count)
            for first, _, count in map(str.split, _text(table).splitlines())
        )
        for table in ("/proc/self/uid_map", "/proc/self/gid_map")
    )


def _text(path: str) -> str:
    with open(path) as file:  # pathlib takes longer to import than everything here
        return file.read()


def _limits(memory_bytes: int, cpu_secs: float) -> dict[int, tuple[int, int]]:
    cpu = int(min(cpu_secs, _LONGEST_SECS)) + 1
    return {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes + MEMORY_RESERVE_BYTES),
        resource.RLIMIT_CORE: (0, 0),
        # One thread cannot use more than the time that it is given by the clock on the wall.
        resource.RLIMIT_CPU: (cpu, cpu),
        # Also bounds memfd files, which the limit on the address space does not.
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_NOFILE: (MAX_DESCRIPTORS, MAX_DESCRIPTORS),
        # Counts the user's other processes too, so only "none at all" can be meant safely.
        resource.RLIMIT_NPROC: (0, 0),
    }


def _at_most(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise ConfinementError(ctypes.get_errno(), f"prctl({option}) was refused")
