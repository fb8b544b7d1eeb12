"""The script's real process with the language filter off and every module at hand.

Started in place of `ringdaq.scripts.child` by `escape_stand.py`; `walls` says which of them stand.
"""

import builtins
import ctypes
import encodings.idna  # noqa: F401  sockets look it up by name
import fcntl
import mmap
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

from ringdaq.scripts import child, landlock, seccomp

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
COLUMN = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
NUMBERS = {
    # name: (x86-64, aarch64); a call that aarch64 lacks has the nearest one in its place
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "capset": (126, 91),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "ftruncate": (77, 46),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_setup": (425, 425),
    "iopl": (172, 0),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_create_ruleset": (444, 444),
    "memfd_secret": (447, 447),
    "modify_ldt": (154, 0),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "openat": (257, 56),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "seccomp": (317, 277),
    "semget": (64, 190),
    "sendmmsg": (307, 269),
    "setfsuid": (122, 151),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpgid": (109, 154),
    "setresuid": (117, 147),
    "setrlimit": (160, 164),
    "settimeofday": (164, 170),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vfork": (58, 220),
}
MODULES = (ctypes, fcntl, mmap, os, resource, signal, socket, stat, subprocess, sys, threading)


def syscall(name, *arguments):
    """A raw system call; raises `OSError` where it fails."""
    result = LIBC.syscall(NUMBERS[name][COLUMN], *map(argument, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return result


def argument(value):
    return ctypes.c_long(value) if isinstance(value, int) else value


def check(result):
    """What a function of the C library returned; -1 is its `OSError`."""
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def vector(address, length):
    """One `struct iovec`."""
    return (ctypes.c_size_t * 2)(address, length)


def main(walls, descriptor, page, parent):
    """Run the script that comes over the socket, behind those walls."""
    if "landlock" not in walls:
        landlock.abi = lambda: 0
    if "seccomp" not in walls:
        seccomp.lacking = lambda: "switched off"
    if not walls:
        child.confine = lambda *_, **__: None
    kit = {
        **vars(builtins),
        **{module.__name__: module for module in MODULES},
        "LIBC": LIBC,
        "DAEMON": descriptor,
        "check": check,
        "syscall": syscall,
        "time": time,
        "vector": vector,
    }
    child._builtins = lambda *_: kit
    child.main(descriptor, page, parent)
