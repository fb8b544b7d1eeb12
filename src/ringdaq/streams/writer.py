"""Writing a stream's ring."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ringdaq_core as core

from ringdaq.errors import StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams.directory import RingDirectory
from ringdaq.streams.failures import CORE_ERRORS, stream_error
from ringdaq.streams.intake import image_of, take_block, take_column, take_times
from ringdaq.streams.layout import Layout
from ringdaq.streams.record import sample_nanos
from ringdaq.streams.statistics import RingStatistics

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_TRIES = 100


class StreamWriter:
    """The one writer of a ring; threads may share it.

    It never waits for a reader: when the ring is full, the oldest records go.
    """

    def __init__(self, writer: core.RingWriter, spec: StreamSpec, path: Path) -> None:
        self._core = writer
        self.spec = spec
        self.path = path
        self.generation: str = writer.generation
        self._reader: core.RingReader | None = None
        self._reader_lock = threading.Lock()

    @classmethod
    def create(cls, directory: Path, spec: StreamSpec, *, capacity_bytes: int) -> StreamWriter:
        """Make the stream's next generation; the directory is made if it is missing."""
        rings = RingDirectory(directory)
        rings.make()
        schema = Layout.from_spec(spec).schema
        for _ in range(_TRIES):
            path = rings.next_path(spec.name)
            try:
                return cls(core.RingWriter.create(path, schema, capacity_bytes), spec, path)
            except FileExistsError:
                continue
            except OverflowError:
                raise StreamError(
                    f"stream {spec.name!r} needs a capacity of 1 to 2**62 bytes; "
                    f"found {capacity_bytes}",
                    stream=spec.name,
                ) from None
            except CORE_ERRORS as error:
                raise stream_error(error, spec.name, path) from None
        raise StreamError(
            f"stream {spec.name!r}: {_TRIES} generations were taken by others: {directory}",
            stream=spec.name,
        )

    def append(self, time_nanos: int, *values: object) -> int:
        """Write one row as one record; returns its sequence number. `None` is a missing value."""
        try:
            return self._core.append(time_nanos, values)
        except CORE_ERRORS as error:
            raise stream_error(error, self.spec.name, self.path) from None
        except (TypeError, OverflowError) as error:
            raise self._refusal(str(error)) from None

    def write_rows(self, times: Any, columns: Mapping[str, Any]) -> int:
        """Write rows as one record; returns its sequence number.

        Times are int64 ns and should ascend. A column is a list, in which `None` is a missing
        value, an array, or a masked array.
        """
        self._check_names(columns)
        stamps = take_times(times, self.spec.name)
        taken = [
            take_column(channel, columns[channel.name], len(stamps), self.spec.name)
            for channel in self.spec.channels
        ]
        first, last = int(stamps[0]), int(stamps[-1])
        return self._write(len(stamps), first, last, [(stamps, None), *taken])

    def write_block(self, first_nanos: int, block: Any) -> int:
        """Write samples [rows, channels] as one record; returns its sequence number."""
        if self.spec.kind != "samples":
            raise self._refusal(f"a block needs a stream of samples; found one of {self.spec.kind}")
        samples = take_block(block, self.spec)
        rows = len(samples)
        last = first_nanos + sample_nanos(self.spec, rows - 1)
        return self._write(rows, first_nanos, last, [(samples, None)])

    def write_frame(self, time_nanos: int, *images_and_values: Any) -> int:
        """Write one row whose first value is an image; returns its sequence number."""
        channels = self.spec.channels
        if len(images_and_values) != len(channels):
            wanted = ", ".join(channel.name for channel in channels)
            raise self._refusal(f"a frame needs ({wanted}); found {len(images_and_values)} values")
        stamps = take_times([time_nanos], self.spec.name)
        taken = [
            self._single(channel, value)
            for channel, value in zip(channels, images_and_values, strict=True)
        ]
        return self._write(1, time_nanos, time_nanos, [(stamps, None), *taken])

    def statistics(self) -> RingStatistics:
        """The ring's counters."""
        try:
            with self._reader_lock:
                if self._reader is None:
                    self._reader = core.RingReader.open(self.path)
                return RingStatistics.from_core(self._reader.statistics())
        except CORE_ERRORS as error:
            raise stream_error(error, self.spec.name, self.path) from None

    @property
    def closed(self) -> bool:
        """Whether this side has closed the ring."""
        return self._core.closed

    def close(self) -> None:
        """End the stream in good order; what was written stays readable."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, rows: int, first: int, last: int, columns: Sequence[Any]) -> int:
        try:
            return self._core.write(rows, first, last, list(columns))
        except CORE_ERRORS as error:
            raise stream_error(error, self.spec.name, self.path) from None
        except (TypeError, OverflowError) as error:
            raise self._refusal(str(error)) from None

    def _single(self, channel: Channel, value: Any) -> tuple[Any, Any]:
        if channel.shape:
            return image_of(channel, value, self.spec.name), None
        return take_column(channel, [value], 1, self.spec.name)

    def _check_names(self, columns: Mapping[str, Any]) -> None:
        if self.spec.kind != "rows":
            raise self._refusal(f"rows need a stream of rows; found one of {self.spec.kind}")
        wanted = {channel.name for channel in self.spec.channels}
        if columns.keys() != wanted:
            raise self._refusal(f"rows need the columns {sorted(wanted)}; found {sorted(columns)}")

    def _refusal(self, text: str) -> StreamError:
        return StreamError(f"stream {self.spec.name!r}: {text}", stream=self.spec.name)
