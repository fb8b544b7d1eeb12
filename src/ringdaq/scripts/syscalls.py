"""The system calls that the filter speaks of, by processor.

Numbers from the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and
`include/uapi/asm-generic/unistd.h`.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # name: (x86-64, aarch64)
    "add_key": (248, 217),
    "bpf": (321, 280),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone3": (435, 435),
    "close": (3, 57),
    "delete_module": (176, 106),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "futex": (202, 98),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "read": (0, 63),
    "reboot": (169, 142),
    "recvfrom": (45, 207),
    "request_key": (249, 218),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "sendto": (44, 206),
    "setns": (308, 268),
    "sigaltstack": (131, 132),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "write": (1, 64),
}


class Processor(NamedTuple):
    """How one kind of processor numbers its system calls."""

    name: str
    audit: int
    """`AUDIT_ARCH_...`, by which the kernel says in which way a call was made."""
    column: int
    first_foreign: int | None
    """From this number on, calls belong to another convention (x32)."""

    def number(self, call: str) -> int | None:
        """The call's number, or `None` where this processor has no such call."""
        return _NUMBERS[call][self.column]


_PROCESSORS = (
    Processor("x86_64", 0xC000003E, 0, 0x40000000),
    Processor("aarch64", 0xC00000B7, 1, None),
)


def processor(name: str | None = None) -> Processor | None:
    """The processor by its name, this machine's without one; `None` where it is not known."""
    wanted = os.uname().machine if name is None else name
    wide = sys.maxsize > 1 << 32 and sys.byteorder == "little"
    return next((p for p in _PROCESSORS if wide and p.name == wanted), None)
