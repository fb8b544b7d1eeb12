"""Writing a stream's ring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate

import ringdaq_core as core

from ringdaq.clock import NANOS_PER_SEC, boot_anchor
from ringdaq.errors import StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams.appender import Appender
from ringdaq.streams.directory import RingDirectory
from ringdaq.streams.failures import CORE_ERRORS, stream_error
from ringdaq.streams.intake import image_of, take_block, take_column, take_times
from ringdaq.streams.layout import Layout
from ringdaq.streams.loan import Loan
from ringdaq.streams.record import sample_nanos
from ringdaq.streams.statistics import RingStatistics

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_TRIES = 100
_MOST_INT64 = 2**63 - 1
_REFUSED = (*CORE_ERRORS, TypeError, OverflowError)
"""What the core raises, and what becomes of values it cannot take."""


def _period(spec: StreamSpec) -> tuple[int, int]:
    """So many nanoseconds in so many rows; (0, 0) without a rate, or if they are not int64."""
    rate = spec.sample_rate
    if rate is None or max(NANOS_PER_SEC * rate.denominator, rate.numerator) > _MOST_INT64:
        return 0, 0
    return NANOS_PER_SEC * rate.denominator, rate.numerator


def _refusal(stream: str, text: str) -> StreamError:
    return StreamError(f"stream {stream!r}: {text}", stream=stream)


def _in_words(stream: str, path: Path, error: Exception) -> Exception:
    """What the core raised, as it is told to users."""
    if isinstance(error, CORE_ERRORS):
        return stream_error(error, stream, path)
    if isinstance(error, (TypeError, OverflowError)):
        return _refusal(stream, str(error))
    return error


class StreamWriter:
    """The one writer of a ring; threads may share it.

    It never waits for a reader: when the ring is full, the oldest records go.
    """

    append: Callable[Concatenate[int, ...], int]
    """Write a row, its time and then its values, as one record; returns its sequence number.

    `None` is a missing value. Takes no named arguments.
    """

    def __init__(self, writer: core.RingWriter, spec: StreamSpec, path: Path) -> None:
        self._core = writer
        self.spec = spec
        self.path = path
        self.generation: str = writer.generation
        # Without this object in it, which is thereby gone when nobody has it any more.
        self._error = partial(_in_words, spec.name, path)
        # The core's own function: a Python function around it would cost as much again.
        self.append = writer.rows(self._error).append
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
                made = core.RingWriter.create(path, schema, capacity_bytes, *_period(spec))
                return cls(made, spec, path)
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

    def appender(self, *, rows: int = 256, deadline_secs: float = 0.0008) -> Appender:
        """A quicker way in for single rows, stamped by the core; a stream has one.

        Rows that follow quickly are committed together: as soon as there are `rows` of them, or the
        first has waited for the deadline, which leaves a little of a millisecond for waking up.
        """
        self._check_kind("rows")
        nanos = round(deadline_secs * NANOS_PER_SEC)
        if rows < 1 or nanos < 1:
            raise self._refusal(
                f"an appender needs at least a row and 1 ns; found {rows} and {deadline_secs} s"
            )
        try:
            return Appender(self._core.appender(rows, nanos, boot_anchor(), self._error))
        except _REFUSED as error:
            raise self._error(error) from None

    def loan(self, rows: int = 1) -> Loan:
        """Room for a frame, or a block of so many rows, to be filled in place and committed."""
        if self.spec.kind == "rows":
            raise self._refusal("only frames and samples are filled in place; found rows")
        if self.spec.kind == "frames" and rows != 1:
            raise self._refusal(f"a frame is one row; found {rows}")
        try:
            return Loan(self._core.loan(rows), self.spec, rows, self._error)
        except _REFUSED as error:
            raise self._error(error) from None

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
        try:
            sequence = self._core.write_block(first_nanos, block)
        except _REFUSED as error:
            raise self._error(error) from None
        if sequence is not None:
            return sequence
        self._check_kind("samples")
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
            self._core.flush()
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
        try:
            self._core.close()
        except CORE_ERRORS as error:
            raise self._error(error) from None

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
        except _REFUSED as error:
            raise self._error(error) from None

    def _check_kind(self, kind: str) -> None:
        if self.spec.kind != kind:
            what = {"rows": "rows need", "samples": "a block needs"}[kind]
            raise self._refusal(f"{what} a stream of {kind}; found one of {self.spec.kind}")

    def _single(self, channel: Channel, value: Any) -> tuple[Any, Any]:
        if channel.shape:
            return image_of(channel, value, self.spec.name), None
        return take_column(channel, [value], 1, self.spec.name)

    def _check_names(self, columns: Mapping[str, Any]) -> None:
        self._check_kind("rows")
        wanted = {channel.name for channel in self.spec.channels}
        if columns.keys() != wanted:
            raise self._refusal(f"rows need the columns {sorted(wanted)}; found {sorted(columns)}")

    def _refusal(self, text: str) -> StreamError:
        return _refusal(self.spec.name, text)
