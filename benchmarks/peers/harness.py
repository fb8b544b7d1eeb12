"""The same messages over each peer, between two processes: delay, rate, processor time.

`python harness.py PEER BYTES SECONDS` prints one JSON object. It runs in the peers' environment, so
it imports nothing of ringdaq. An adapter is a module of this folder with `publisher(place)`, whose
result has `send(array)` and `close()`, and `subscriber(place)`, whose result has `receive()`, which
waits for a message and returns a buffer, or `None` after a while.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from typing import IO, Any

import numpy as np
from place import Place

WARM, DELAY, FLOOD, END = range(4)
STAMP, NUMBER, KIND = range(3)
PERIODS = {64: (1000, 0.001), 51_200: (400, 0.002), 8 << 20: (40, 0.02)}
"""By size: how many messages the delay is taken from, and their period in seconds."""
PATIENCE_SECS = 20.0


def adapter(peer: str) -> Any:
    """A peer's module."""
    return importlib.import_module(f"peer_{peer}")


def _subscribe(peer: str, place: Place) -> None:
    """The other process: note delays, count what arrives, until the end."""
    subscriber = adapter(peer).subscriber(place)
    print("ready", flush=True)
    late: list[int] = []
    flood: list[int] = []
    warm, used = False, 0
    deadline = time.monotonic() + 3 * PATIENCE_SECS
    while time.monotonic() < deadline:
        message = subscriber.receive()
        now = time.monotonic_ns()
        if message is None:
            continue
        data = np.frombuffer(message, np.uint8)
        head = data[:24].view(np.int64).tolist()
        data[-1]
        del message, data
        if head[KIND] == DELAY:
            if not late:
                used = time.process_time_ns()
            late.append(now - head[STAMP])
        elif head[KIND] == FLOOD:
            if not flood:
                used = time.process_time_ns() - used
            flood.append(now)
        elif head[KIND] == END:
            break
        elif not warm:
            warm = True
            print("warm", flush=True)
    found = {"late": late, "used": used, "kept": len(flood), "span": 0}
    if flood:
        found["span"] = flood[-1] - flood[0]
    print(json.dumps(found), flush=True)
    with contextlib.suppress(Exception):
        subscriber.close()
    os._exit(0)


class _SubscriberDiedError(Exception):
    """The other process ended before it had a result."""


def _last_line(said: IO[str]) -> str:
    said.seek(0)
    return (said.read().strip().splitlines() or ["nothing"])[-1]


class _Sender:
    def __init__(self, publisher: Any, size: int) -> None:
        self._publisher = publisher
        self.array = np.zeros(size, np.uint8)
        self._head = self.array[:24].view(np.int64)
        self._number = 0

    def send(self, kind: int) -> None:
        self._head[NUMBER], self._head[KIND] = self._number, kind
        self._number += 1
        self._head[STAMP] = time.monotonic_ns()
        self._publisher.send(self.array)


def _until(send: Callable[[], None], stop: Callable[[], bool], period: float) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not stop():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no message arrived within {PATIENCE_SECS:.0f} s")
        send()
        time.sleep(period)


def _paced(send: Callable[[], None], count: int, period: float) -> int:
    """Send at a fixed period; processor time used, in ns."""
    used, due = time.process_time_ns(), time.monotonic()
    for _ in range(count):
        due += period
        time.sleep(max(0.0, due - time.monotonic()))
        send()
    return time.process_time_ns() - used


def _flood(send: Callable[[], None], seconds: float, most: int) -> int:
    until, sent = time.monotonic() + seconds, 0
    while sent < most and time.monotonic() < until:
        send()
        sent += 1
    return sent


def measure(peer: str, size: int, seconds: float) -> dict[str, Any]:
    """Delay and rate of one peer for one size of message."""
    module = adapter(peer)
    with (
        tempfile.TemporaryDirectory(prefix="rdb-") as address,
        tempfile.TemporaryFile("w+") as said,
    ):
        place = Place(address, size)
        stop = module.serve(place) if hasattr(module, "serve") else (lambda: None)
        publisher = module.publisher(place)
        command = [sys.executable, __file__, "--subscribe", peer, address, str(size)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            return _measure(module, _Sender(publisher, size), child, size, seconds)
        except _SubscriberDiedError as died:
            raise ChildProcessError(f"{died}; it said: {_last_line(said)}") from None
        finally:
            child.kill()
            child.wait()
            with contextlib.suppress(Exception):
                publisher.close()
            stop()


def _measure(
    module: Any, sender: _Sender, child: subprocess.Popen[str], size: int, seconds: float
) -> dict[str, Any]:
    assert child.stdout is not None
    if child.stdout.readline().strip() != "ready":
        raise _SubscriberDiedError("the subscriber did not start")
    os.set_blocking(child.stdout.fileno(), False)
    _until(lambda: sender.send(WARM), lambda: child.stdout.readline() == "warm\n", 0.01)
    os.set_blocking(child.stdout.fileno(), True)
    count, period = PERIODS[size]
    used = _paced(lambda: sender.send(DELAY), max(5, int(count * min(1.0, seconds))), period)
    time.sleep(0.05)
    most = getattr(module, "MOST", {}).get(size, 1 << 40)
    sent = _flood(lambda: sender.send(FLOOD), seconds, most)
    time.sleep(0.05)
    _until(lambda: sender.send(END), lambda: child.poll() is not None, 0.05)
    result = child.stdout.readline()
    if not result:
        raise _SubscriberDiedError(f"the subscriber ended with {child.returncode}")
    found = json.loads(result)
    late = sorted(found["late"])
    return {
        "p50_us": late[len(late) // 2] / 1e3,
        "p99_us": late[len(late) * 99 // 100] / 1e3,
        "per_sec": (found["kept"] - 1) / found["span"] * 1e9 if found["span"] else 0.0,
        "kept": found["kept"] / sent,
        "cpu_us": (used + found["used"]) / len(late) / 1e3,
        "version": _version(module),
    }


def _version(module: Any) -> str:
    name = module.PACKAGE
    return metadata.version(name) if name else sys.version.split()[0]


def main() -> None:
    """Measure, or be the subscriber."""
    if sys.argv[1] == "--subscribe":
        _subscribe(sys.argv[2], Place(sys.argv[3], int(sys.argv[4])))
    try:
        found = measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    except Exception as error:
        found = {"missing": f"{type(error).__name__}: {error}"}
    print(json.dumps(found), flush=True)
    # Some peers leave threads behind that never end.
    os._exit(0)


if __name__ == "__main__":
    main()
