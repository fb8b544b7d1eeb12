"""What this machine can do at best: copying memory, waking a process, echoing over a socket."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.apart import apart, two_processors
from benchmarks.measure import median_rate, pace

FUTEX_WAIT, FUTEX_WAKE = 0, 1
SYS_FUTEX = {"x86_64": 202, "aarch64": 98}
_libc = ctypes.CDLL(None, use_errno=True)
_WORD, _STAMP = struct.Struct("<I"), struct.Struct("<q")
_STAMP_AT = 64


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


def memcpy_rate(size: int, region_bytes: int = 64 << 20) -> float:
    """How many times `size` bytes can be copied per second into a region larger than the cache.

    Copied in long stretches, so that a call's own cost from Python does not count.
    """
    stretch = 1 << 16
    source = ctypes.create_string_buffer(stretch)
    target = mmap.mmap(-1, region_bytes)
    base = ctypes.addressof(ctypes.c_char.from_buffer(target))

    def work() -> int:
        copy = ctypes.memmove
        for offset in range(0, region_bytes, stretch):
            copy(base + offset, source, stretch)
        return region_bytes // size

    return median_rate(work)


def _futex(address: int, operation: int, value: int, timeout_secs: float = 5.0) -> int:
    limit = _Timespec(int(timeout_secs), int(timeout_secs % 1 * 1e9))
    number = SYS_FUTEX[platform.machine()]
    # A bare int would be cut to 32 bits, and the call refused at once.
    word, deadline = ctypes.c_void_p(address), ctypes.byref(limit)
    return _libc.syscall(number, word, operation, ctypes.c_uint32(value), deadline, None, 0)


def _shared(path: Path) -> tuple[mmap.mmap, int]:
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _futex_sleeper(path: Path, count: int) -> None:
    """The other process: sleep on the word, and note how late each wake-up comes."""
    memory, address = _shared(path)
    print("ready", flush=True)
    seen, late = 0, []
    while len(late) < count:
        _futex(address, FUTEX_WAIT, seen)
        now = time.monotonic_ns()
        (word,) = _WORD.unpack_from(memory, 0)
        (stamp,) = _STAMP.unpack_from(memory, _STAMP_AT)
        if word != seen:
            seen = word
            late.append(now - stamp)
    print(json.dumps(late))


def futex_wake_nanos(count: int = 2000, period_secs: float = 0.001) -> list[int]:
    """From just before a wake to the sleeper's first instruction in another process, in ns."""
    path = Path("/dev/shm") / f"ringdaq-bench-futex-{os.getpid()}"
    path.write_bytes(bytes(mmap.PAGESIZE))
    try:
        memory, address = _shared(path)
        sleeper = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.limits", str(path), str(count)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        words = iter(range(1, 1 << 31))

        def wake() -> None:
            _STAMP.pack_into(memory, _STAMP_AT, time.monotonic_ns())
            _WORD.pack_into(memory, 0, next(words))
            _futex(address, FUTEX_WAKE, 1)

        # As often as it takes: a wake-up that merges with the next counts once.
        for _ in range(100):
            pace(period_secs, count // 10 + 1, wake)
            if sleeper.poll() is not None:
                break
        else:
            sleeper.kill()
        told, _ = sleeper.communicate(timeout=30)
        late: list[int] = json.loads(told)
        return late
    finally:
        path.unlink()


_ECHO = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
while data := sock.recv(4096):
    sock.sendall(data)
"""


def socket_echo_nanos(size: int = 64, count: int = 5000) -> list[int]:
    """Round trips of a small message over a Unix socket to another Python process, in ns.

    Each is on a processor of its own. Where the scheduler happens to put both on one, nobody is
    woken and nothing runs at the same time; an echo then takes a fifth, and says nothing of two
    processes that both have work.
    """
    here, there = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-c", _ECHO, str(there.fileno())], pass_fds=[there.fileno()], text=True
    )
    there.close()
    message, times = bytes(size), []
    with apart(child, two_processors()):
        for _ in range(count):
            before = time.perf_counter_ns()
            here.sendall(message)
            here.recv(4096)
            times.append(time.perf_counter_ns() - before)
    here.close()
    child.wait(10)
    return times[count // 10 :]


if __name__ == "__main__":
    _futex_sleeper(Path(sys.argv[1]), int(sys.argv[2]))
