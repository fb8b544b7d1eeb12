"""ringdaq: a ring of samples; the subscriber sleeps on its bell, then takes all that is there."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ringdaq.errors import OverrunError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

if TYPE_CHECKING:
    from place import Place

PACKAGE = "ringdaq"
CHANNELS = 8
MIB = 1 << 20
TOGETHER_BYTES = 64 << 10
"""So much is copied at once at most, frames and all; larger messages are looked at in place."""
RING_BYTES = 256 << 20
MOST = {64: 600_000}
"""A ring never waits, and holds so many messages of 64 B (384 B each, with their frames)."""
SPEC = StreamSpec(
    "messages",
    "samples",
    tuple(Channel(f"ch{i}", "int64") for i in range(CHANNELS)),
    sample_rate=Fraction(1000),
)


def _directory(address: str) -> Path:
    return Path("/dev/shm") / Path(address).name


class _Publisher:
    def __init__(self, address: str, size: int) -> None:
        self._directory = _directory(address)
        self._writer = StreamWriter.create(self._directory, SPEC, capacity_bytes=RING_BYTES)
        self._array: Any = None
        # A ring in use has been filled once; the first time, the kernel maps page by page.
        first = np.zeros(size, np.uint8)
        while self._writer.statistics().oldest_sequence == 0:
            for _ in range(max(1, MIB // size)):
                self.send(first)

    def send(self, array: Any) -> None:
        if array is not self._array:
            self._array, self._block = array, array.view("int64").reshape(-1, CHANNELS)
        self._writer.write_block(0, self._block)

    def close(self) -> None:
        self._writer.close()
        for path in self._directory.iterdir():
            path.unlink()
        self._directory.rmdir()


class _Subscriber:
    """Looks at a message where it lies, or copies all small ones that wait in one call."""

    def __init__(self, address: str, size: int) -> None:
        (path,) = _directory(address).glob("*.ring")
        self._reader = StreamReader.open(path)
        self._size = size
        self._next = self._reader.next_sequence
        self._copied: Iterator[Any] = iter(())

    def receive(self) -> Any:
        for message in self._copied:
            return message
        if not self._reader.wait(self._next, 1.0):
            return None
        end = self._reader.next_sequence
        try:
            if end - self._next > 1 and self._size < TOGETHER_BYTES // 2:
                return self._take(end)
            return self._look()
        except OverrunError:
            # Too far behind: what is oldest now would be gone again before it is read.
            self._next = max(self._next + 1, self._reader.next_sequence - 1)
            return None

    def _look(self) -> Any:
        with self._reader.view(self._next) as record:
            found = record.columns()["samples"]
        self._next += 1
        return found

    def _take(self, end: int) -> Any:
        frames, [(values, _)] = self._reader.gather(self._next, end, [0], TOGETHER_BYTES)
        self._next += len(frames)
        self._copied = iter(values.reshape(-1, self._size))
        return next(self._copied)

    def close(self) -> None:
        self._reader.close()


def publisher(place: Place) -> _Publisher:
    """Writes blocks."""
    return _Publisher(place.address, place.size)


def subscriber(place: Place) -> _Subscriber:
    """Reads them."""
    return _Subscriber(place.address, place.size)
