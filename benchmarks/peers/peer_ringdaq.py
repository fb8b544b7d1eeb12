"""ringdaq: a ring of samples; the subscriber sleeps on its bell and looks at records in place."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringdaq.errors import OverrunError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

if TYPE_CHECKING:
    from place import Place

PACKAGE = "ringdaq"
CHANNELS = 8
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
        capacity = max(64 << 20, 32 * size)
        self._writer = StreamWriter.create(self._directory, SPEC, capacity_bytes=capacity)

    def send(self, array: Any) -> None:
        self._writer.write_block(0, array.view("int64").reshape(-1, CHANNELS))

    def close(self) -> None:
        self._writer.close()
        for path in self._directory.iterdir():
            path.unlink()
        self._directory.rmdir()


class _Subscriber:
    def __init__(self, address: str) -> None:
        (path,) = _directory(address).glob("*.ring")
        self._reader = StreamReader.open(path)
        self._next = self._reader.statistics().next_sequence

    def receive(self) -> Any:
        if not self._reader.wait(self._next, 1.0):
            return None
        try:
            with self._reader.view(self._next) as record:
                found = record.columns()["samples"]
        except OverrunError:
            # Too far behind: what is oldest now would be gone again before it is read.
            self._next = max(self._next + 1, self._reader.next_sequence - 1)
            return None
        self._next += 1
        return found

    def close(self) -> None:
        self._reader.close()


def publisher(place: Place) -> _Publisher:
    """Writes blocks."""
    return _Publisher(place.address, place.size)


def subscriber(place: Place) -> _Subscriber:
    """Looks at them where they lie."""
    return _Subscriber(place.address)
