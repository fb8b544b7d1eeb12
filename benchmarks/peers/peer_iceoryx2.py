"""iceoryx2: publish and subscribe in shared memory; the subscriber sleeps on an event."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import iceoryx2 as iox2

if TYPE_CHECKING:
    from place import Place

PACKAGE = "iceoryx2"
Bytes = iox2.Slice[ctypes.c_uint8]


def _services(address: str) -> tuple[Any, Any, Any]:
    iox2.set_log_level(iox2.LogLevel.Error)
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    name = iox2.ServiceName.new(f"ringdaq-{Path(address).name}")
    data = (
        node.service_builder(name)
        .publish_subscribe(Bytes)
        .enable_safe_overflow(False)
        .subscriber_max_buffer_size(16)
        .open_or_create()
    )
    return node, data, node.service_builder(name).event().open_or_create()


class _Publisher:
    def __init__(self, address: str, size: int) -> None:
        self._node, data, event = _services(address)
        self._publisher = data.publisher_builder().initial_max_slice_len(size).create()
        self._notifier = event.notifier_builder().create()

    def send(self, array: Any) -> None:
        sample = self._publisher.loan_slice_uninit(len(array))
        ctypes.memmove(sample.payload_ptr, array.ctypes.data, len(array))
        sample.assume_init().send()
        self._notifier.notify()

    def close(self) -> None:
        self._publisher.delete()


class _Subscriber:
    def __init__(self, address: str) -> None:
        self._node, data, event = _services(address)
        self._subscriber = data.subscriber_builder().create()
        self._listener = event.listener_builder().create()
        self._patience = iox2.Duration.from_secs(1)

    def receive(self) -> Any:
        sample = self._subscriber.receive()
        if sample is None:
            self._listener.timed_wait(self._patience)
            while self._listener.try_wait():
                pass
            sample = self._subscriber.receive()
        return None if sample is None else sample.payload().as_memory_view()

    def close(self) -> None:
        self._subscriber.delete()


def publisher(place: Place) -> _Publisher:
    """Loans, fills and sends."""
    return _Publisher(place.address, place.size)


def subscriber(place: Place) -> _Subscriber:
    """Sleeps until notified."""
    return _Subscriber(place.address)
