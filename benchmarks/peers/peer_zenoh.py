"""Zenoh: a direct link between two peers on loopback, messages in its shared memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zenoh
from zenoh import handlers, shm

if TYPE_CHECKING:
    from place import Place

PACKAGE = "eclipse-zenoh"
KEY = "ringdaq/bench"
PORT = 17447


def _session(listen: bool) -> zenoh.Session:
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("transport/shared_memory/enabled", "true")
    place = json.dumps([f"tcp/127.0.0.1:{PORT}"])
    config.insert_json5("listen/endpoints", place if listen else "[]")
    config.insert_json5("connect/endpoints", "[]" if listen else place)
    return zenoh.open(config)


class _Publisher:
    def __init__(self, size: int) -> None:
        self._session = _session(True)
        self._provider = shm.ShmProvider.default_backend(max(16 << 20, 8 * size))
        self._policy = shm.BlockOn(shm.GarbageCollect())
        self._publisher = self._session.declare_publisher(
            KEY, congestion_control=zenoh.CongestionControl.BLOCK
        )

    def send(self, array: Any) -> None:
        buffer = self._provider.alloc(len(array), policy=self._policy)
        buffer[:] = array.tobytes()
        self._publisher.put(buffer)

    def close(self) -> None:
        self._session.close()


class _Subscriber:
    def __init__(self) -> None:
        self._session = _session(False)
        self._subscriber = self._session.declare_subscriber(KEY, handlers.FifoChannel(64))

    def receive(self) -> Any:
        return self._subscriber.recv().payload.to_bytes()

    def close(self) -> None:
        self._session.close()


def publisher(place: Place) -> _Publisher:
    """Listens."""
    return _Publisher(place.size)


def subscriber(place: Place) -> _Subscriber:  # noqa: ARG001
    """Connects."""
    return _Subscriber()
