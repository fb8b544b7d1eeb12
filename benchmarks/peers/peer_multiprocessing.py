"""multiprocessing: a connection over a Unix socket."""

from __future__ import annotations

import time
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from place import Place

PACKAGE = ""


class _Publisher:
    def __init__(self, path: str) -> None:
        self._listener = Listener(path, "AF_UNIX")
        self._connection: Any = None

    def send(self, array: Any) -> None:
        if self._connection is None:
            self._connection = self._listener.accept()
        self._connection.send_bytes(array)

    def close(self) -> None:
        self._listener.close()


class _Subscriber:
    def __init__(self, path: str) -> None:
        time.sleep(0.1)
        self._connection = Client(path, "AF_UNIX")

    def receive(self) -> bytes:
        return self._connection.recv_bytes()

    def close(self) -> None:
        self._connection.close()


def publisher(place: Place) -> _Publisher:
    """Listens."""
    return _Publisher(f"{place.address}/socket")


def subscriber(place: Place) -> _Subscriber:
    """Connects."""
    return _Subscriber(f"{place.address}/socket")
