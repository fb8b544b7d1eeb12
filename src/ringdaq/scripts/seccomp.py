"""Filter the system calls of a script: a few are allowed, all others are not.

What the interpreter needs to compute, to wait and to talk over the socket that it has; no call
that takes a path, makes a descriptor, a process or a thread, or reaches another process.
Calls that no honest program makes by accident end the process.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import struct
from typing import NamedTuple

from ringdaq.scripts.syscalls import Processor, processor

ALLOWED = (
    "recvfrom", "futex", "clock_gettime", "mmap", "munmap", "mprotect", "mremap", "madvise", "brk",
    "sendto", "read", "write", "close", "poll", "ppoll", "getrandom", "clock_getres",
    "gettimeofday", "nanosleep", "clock_nanosleep", "restart_syscall", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "sched_yield", "getpid", "gettid",
    "prlimit64", "exit", "exit_group",
)  # fmt: skip

DEADLY = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd",
    "bpf", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    "unshare", "setns", "mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
    "keyctl", "add_key", "request_key",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff",
)  # fmt: skip
"""Nobody calls these by accident."""

ABSENT = ("clone3",)
"""Said not to exist, so that the C library falls back to a call that is refused by name."""

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_ALL_THREADS = 1
_SYSCALL_NUMBERS = {"x86_64": 317, "aarch64": 277}
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUALS, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _PROCESSOR_AT, _ARGUMENTS_AT = 0, 4, 16
_MOST_STEPS = 4096

_Step = tuple[int, int, int, int]
"""Operation, how far to jump if true and if false, operand."""


class _Must(NamedTuple):
    """What an argument of an allowed call must be; anything else is refused."""

    argument: int
    operation: int
    operand: int
    negated: bool = False
    high_half: bool = False


def _zero(argument: int) -> tuple[_Must, ...]:
    return (_Must(argument, _EQUALS, 0), _Must(argument, _EQUALS, 0, high_half=True))


# No new machine code; no message to another address; no limit changed but the soft one of memory.
CONDITIONS: dict[str, tuple[_Must, ...]] = {
    "mmap": (_Must(2, _ANY_OF, mmap.PROT_EXEC, negated=True),),
    "mprotect": (_Must(2, _ANY_OF, mmap.PROT_EXEC, negated=True),),
    "sendto": _zero(4),
    "prlimit64": (*_zero(0), _Must(1, _EQUALS, resource.RLIMIT_AS)),
}


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def lacking() -> str | None:
    """Why this machine cannot filter system calls; `None` where it can."""
    here = processor()
    if here is None:
        return f"no table of system calls for {os.uname().machine!r}"
    action = ctypes.c_uint32(_KILL_PROCESS)
    if _seccomp(here, _GET_ACTION_AVAIL, 0, ctypes.byref(action)) != 0:
        return os.strerror(ctypes.get_errno())
    return None


def install() -> None:
    """Filter all threads of this process, for ever; needs `no_new_privs`.

    Raises `OSError` where the kernel refuses, or has no table for this processor.
    """
    here = processor()
    if here is None:
        raise OSError(errno.ENOSYS, lacking())
    steps = b"".join(struct.pack("<HBBI", *step) for step in program(here))
    filter_ = _Program(len(steps) // 8, steps)
    if (refused := _seccomp(here, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(filter_))) != 0:
        error = ctypes.get_errno() if refused < 0 else errno.EBUSY
        raise OSError(error, f"the system call filter was refused: {os.strerror(error)}")


def program(here: Processor) -> list[_Step]:
    """The filter as classic BPF."""
    steps: list[_Step] = [
        (_LOAD, 0, 0, _PROCESSOR_AT),
        (_EQUALS, 1, 0, here.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if here.first_foreign is not None:
        steps += [(_AT_LEAST, 0, 1, here.first_foreign), (_RETURN, 0, 0, _KILL_PROCESS)]
    for call in ALLOWED:
        steps += _for_call(here, call, [*_conditions(call), (_RETURN, 0, 0, _ALLOW)])
    for call in DEADLY:
        steps += _for_call(here, call, [(_RETURN, 0, 0, _KILL_PROCESS)])
    for call in ABSENT:
        steps += _for_call(here, call, [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    steps.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    assert len(steps) <= _MOST_STEPS
    return steps


def _for_call(here: Processor, call: str, then: list[_Step]) -> list[_Step]:
    number = here.number(call)
    return [] if number is None else [(_EQUALS, 0, len(then), number), *then]


def _conditions(call: str) -> list[_Step]:
    steps: list[_Step] = []
    for must in CONDITIONS.get(call, ()):
        at = _ARGUMENTS_AT + 8 * must.argument + 4 * must.high_half
        good, bad = (0, 1) if must.negated else (1, 0)
        steps += [
            (_LOAD, 0, 0, at),
            (must.operation, good, bad, must.operand),
            (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        ]
    return steps


def _seccomp(here: Processor, operation: int, flags: int, argument: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(_SYSCALL_NUMBERS[here.name], operation, flags, argument)
    return result
