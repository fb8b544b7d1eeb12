"""The recorder gives way to instruments' loops."""

import ctypes
import os
import platform
import struct
import subprocess
import sys

import pytest

ATTRIBUTES = struct.Struct("=IIQiIQQQII")
GET = {"x86_64": 315, "aarch64": 275}
STAND_BACK = """
import sys
from ringdaq.recorder.stand_back import stand_back
stand_back()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def standing_back():
    command = [sys.executable, "-c", STAND_BACK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process.pid


def test_it_is_nice_and_woken_for_nothing_urgent(standing_back):
    assert os.sched_getscheduler(standing_back) == os.SCHED_BATCH
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, standing_back) == min(before + 5, 19)


def kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


@pytest.mark.skipif(kernel() < (6, 12), reason="kernels before 6.12 know no slices of one's own")
def test_whoever_wakes_up_need_not_wait_for_the_end_of_its_slice(standing_back):
    found = ctypes.create_string_buffer(ATTRIBUTES.size)
    libc = ctypes.CDLL(None, use_errno=True)
    number = GET[platform.machine()]
    assert libc.syscall(number, standing_back, found, ATTRIBUTES.size, 0) == 0
    slice_nanos = ATTRIBUTES.unpack(found.raw)[5]
    assert slice_nanos == 100_000_000
