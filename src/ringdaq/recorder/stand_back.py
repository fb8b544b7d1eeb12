"""Instruments' loops go first: what the recorder leaves for later waits in the rings."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import struct

log = logging.getLogger(__name__)

NICENESS = 5
LONG_SLICE_NANOS = 100_000_000
"""The longest that Linux takes."""
_SYSCALLS = {"x86_64": 314, "aarch64": 274}
# size, policy, flags, nice, priority, runtime, deadline, period, utilisation from, to
_SCHED_ATTR = struct.Struct("=IIQiIQQQII")


def stand_back() -> None:
    """Let this thread, and those that it starts, be preempted at once by whoever wakes up.

    Being nicer is not enough: Linux lets a thread finish its time slice, some milliseconds, before
    it gives way to another whose slice is as long. A thread that asks for long slices gives way to
    all others at once and still gets its share. Kernels before 6.12 know no slices of one's own;
    there it is a nice batch process, no more.
    See sched_setattr(2), and PREEMPT_SHORT in the kernel's scheduler.
    """
    os.nice(NICENESS)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHED_ATTR.pack(
        _SCHED_ATTR.size, os.SCHED_BATCH, 0, nice, 0, LONG_SLICE_NANOS, 0, 0, 0, 0
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 0, attributes, 0) != 0:
        log.info("no long time slices here: %s", os.strerror(ctypes.get_errno()))
