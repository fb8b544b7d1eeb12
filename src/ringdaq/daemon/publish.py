"""The daemon's side of the rings: one writer for each stream, and the newest values at hand."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ringdaq.config import Rig
from ringdaq.daemon.open_rings import ForeignRing, OpenRing
from ringdaq.daemon.sizing import plan
from ringdaq.errors import StreamError
from ringdaq.model import StreamSpec
from ringdaq.streams import Appender, RingDirectory, StreamWriter

BYTES_PER_VALUE = {
    "int8": 1, "uint8": 1, "bool": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4,
    "float32": 4, "int64": 8, "uint64": 8, "float64": 8, "string": 16,
}  # fmt: skip


def row_bytes(spec: StreamSpec) -> int:
    """How many bytes one row of a stream takes, framing aside."""
    total = 8
    for channel in spec.channels:
        size = BYTES_PER_VALUE[channel.dtype]
        for edge in channel.shape:
            size *= edge
        total += size
    return total


class Publisher:
    """Makes the rings of one daemon and remembers the newest value of each scalar channel."""

    def __init__(
        self, rig: Rig, directory: Path, on_closed: Callable[[], None] = lambda: None
    ) -> None:
        """`on_closed` is called for every ring that is closed for good."""
        self._rig = rig
        self._on_closed = on_closed
        self.rings = RingDirectory(directory)
        self._lock = threading.Lock()
        self._writers: dict[str, StreamWriter] = {}
        self._foreign: dict[str, ForeignRing] = {}
        self._appenders: dict[str, Appender] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._newest: dict[str, tuple[Any, ...]] = {}

    def open(self, spec: StreamSpec, capacity_bytes: int | None = None) -> StreamWriter:
        """Make a ring for a stream; a stream that is open already gets a new generation."""
        size = plan(spec, self._rig).capacity_bytes if capacity_bytes is None else capacity_bytes
        writer = StreamWriter.create(self.rings.path, spec, capacity_bytes=size)
        with self._lock:
            before = self._writers.get(spec.name)
            self._writers[spec.name] = writer
            self._appenders.pop(spec.name, None)
            self._keys[spec.name] = tuple(f"{spec.name}.{c.name}" for c in spec.channels)
        if before is not None:
            before.close()
        return writer

    def adopt(self, ring: ForeignRing) -> None:
        """List a ring of another process; one of its earlier generations is listed no more."""
        name = ring.spec.name
        with self._lock:
            there = self._foreign.get(name)
            if name in self._writers or (there is not None and there.owner != ring.owner):
                raise StreamError(
                    f"a stream needs a name of its own; {name!r} is somebody else's already",
                    stream=name,
                )
            self._foreign[name] = ring

    def disown(self, stream: str) -> None:
        """List a stream of another process no more; its ring stays readable."""
        with self._lock:
            self._foreign.pop(stream, None)

    def writer(self, stream: str) -> StreamWriter:
        """The writer of an open stream."""
        with self._lock:
            return self._writer(stream)

    def _writer(self, stream: str) -> StreamWriter:
        """The same for who holds the lock."""
        if stream not in self._writers:
            raise StreamError(f"the stream {stream!r} is not open", stream=stream)
        return self._writers[stream]

    def put_row(self, stream: str, values: tuple[Any, ...]) -> None:
        """Append one row of now, and remember it as the newest.

        Rows that follow each other within a millisecond may share a record.
        """
        appender = self._appenders.get(stream) or self._appender(stream)
        appender.append(*values)
        self._newest[stream] = values if None not in values else self._filled(stream, values)

    def _filled(self, stream: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The row with the last value in place of each that is missing."""
        before = self._newest.get(stream, ())
        pairs = itertools.zip_longest(values, before[: len(values)])
        return tuple(last if value is None else value for value, last in pairs)

    def _appender(self, stream: str) -> Appender:
        with self._lock:
            # Another thread's first row may have made it meanwhile; a stream has one.
            if stream not in self._appenders:
                self._appenders[stream] = self._writer(stream).appender()
            return self._appenders[stream]

    def flush(self, streams: Iterable[str]) -> None:
        """Commit the rows of these streams that wait for others."""
        for stream in streams:
            appender = self._appenders.get(stream)
            if appender is not None:
                appender.flush()

    def live_values(self, *streams: str) -> dict[str, float | int | bool | str]:
        """The newest value of each scalar channel, of these streams or of all; `stream.channel`."""
        newest = self._newest.copy()
        return {
            key: value
            for stream in streams or newest
            for key, value in zip(self._keys.get(stream, ()), newest.get(stream, ()), strict=False)
            if value is not None
        }

    def forget(self, stream: str) -> None:
        """Close a stream for good; its ring stays readable."""
        with self._lock:
            writer = self._writers.pop(stream, None)
            self._appenders.pop(stream, None)
            self._newest.pop(stream, None)
            self._keys.pop(stream, None)
        if writer is not None:
            writer.close()
            self._on_closed()

    def open_rings(self) -> list[OpenRing]:
        """The rings of all open streams, whoever writes them."""
        with self._lock:
            return [*self._writers.values(), *self._foreign.values()]

    def describe(self) -> list[dict[str, Any]]:
        """All open streams as plain values."""
        return [
            {
                "name": ring.spec.name,
                "path": str(ring.path),
                "generation": ring.generation,
                "spec": ring.spec.to_dict(),
                "statistics": ring.statistics()._asdict(),
            }
            for ring in self.open_rings()
        ]

    def close(self) -> None:
        """Close every ring in good order."""
        for stream in list(self._writers):
            self.forget(stream)
