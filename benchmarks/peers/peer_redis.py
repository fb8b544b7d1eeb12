"""Redis streams: a server of our own on a Unix socket, without persistence."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from place import Place

PACKAGE = "redis"
KEY = "ringdaq"


def serve(place: Place) -> Callable[[], None]:
    """Start the server; the result stops it."""
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server is not installed")
    command = [program, "--port", "0", "--unixsocket", f"{place.address}/redis", "--save", ""]
    server = subprocess.Popen([*command, "--dir", place.address], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not Path(f"{place.address}/redis").exists() and time.monotonic() < deadline:
        time.sleep(0.05)

    def stop() -> None:
        server.terminate()
        server.wait(10)

    return stop


class _Publisher:
    def __init__(self, address: str) -> None:
        self._client = redis.Redis(unix_socket_path=f"{address}/redis")

    def send(self, array: Any) -> None:
        self._client.xadd(KEY, {"m": array.tobytes()}, maxlen=64, approximate=True)

    def close(self) -> None:
        self._client.close()


class _Subscriber:
    def __init__(self, address: str) -> None:
        self._client = redis.Redis(unix_socket_path=f"{address}/redis")
        self._last: Any = "$"
        self._waiting: list[Any] = []

    def receive(self) -> Any:
        if not self._waiting:
            found: Any = self._client.xread({KEY: self._last}, count=64, block=1000)
            if not found:
                return None
            self._waiting = list(reversed(found[0][1]))
        self._last, fields = self._waiting.pop()
        return fields[b"m"]

    def close(self) -> None:
        self._client.close()


def publisher(place: Place) -> _Publisher:
    """Adds to a stream that keeps the last messages."""
    return _Publisher(place.address)


def subscriber(place: Place) -> _Subscriber:
    """Reads with blocking XREAD."""
    return _Subscriber(place.address)
