"""pyzmq: PUB/SUB over ipc, no message dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

if TYPE_CHECKING:
    from place import Place

PACKAGE = "pyzmq"


class _Publisher:
    def __init__(self, address: str) -> None:
        self._socket = zmq.Context().socket(zmq.PUB)
        # The publisher waits instead of dropping.
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._socket.setsockopt(zmq.SNDHWM, 1000)
        self._socket.bind(f"ipc://{address}/zmq")

    def send(self, array: Any) -> None:
        self._socket.send(array)

    def close(self) -> None:
        self._socket.close(0)


class _Subscriber:
    def __init__(self, address: str) -> None:
        self._socket = zmq.Context().socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.setsockopt(zmq.RCVTIMEO, 1000)
        self._socket.connect(f"ipc://{address}/zmq")

    def receive(self) -> Any:
        try:
            return self._socket.recv(copy=False).buffer
        except zmq.Again:
            return None

    def close(self) -> None:
        self._socket.close(0)


def publisher(place: Place) -> _Publisher:
    """Binds."""
    return _Publisher(place.address)


def subscriber(place: Place) -> _Subscriber:
    """Connects."""
    return _Subscriber(place.address)
