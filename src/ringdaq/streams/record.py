"""One record: rows of a stream, as numpy, Arrow or bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import ringdaq_core as core

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import CorruptRecordError, StreamError
from ringdaq.model import TIME, StreamSpec
from ringdaq.streams import dataframes
from ringdaq.streams.layout import Layout, pyarrow

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

Array = np.ndarray[Any, np.dtype[Any]]
Buffers = tuple[int, int, int, int, int, int, int]
Frame = tuple[int, int, int, int]
"""A record's rows, first time, last time, and the rows before it."""
_MAX_INT64 = np.iinfo(np.int64).max


class Record:
    """Rows of a stream that were committed together.

    A record of `read`, `latest`, `window` or `follow` owns its bytes.
    One of `view` lies in shared memory, and is only to be trusted after the view was left.
    """

    # Without a dictionary of its own, a record is made and dropped sooner, by a twentieth.
    __slots__ = ()

    _layout: Layout
    _head: bytes | None = None
    """A copy of the message's head, for a payload that the writer may overwrite meanwhile."""
    sequence: int
    rows: int
    first_nanos: int
    last_nanos: int
    first_row: int
    """Rows of the stream before this record."""
    payload: bytes | memoryview

    def __repr__(self) -> str:
        return (
            f"<Record {self.sequence} of {self.spec.name!r}: {self.rows} rows, "
            f"{self.first_nanos} to {self.last_nanos} ns>"
        )

    def __len__(self) -> int:
        return self.rows

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""
        return self._layout.spec

    @property
    def generation(self) -> str:
        """Id of the ring that the record lay in, "" if it came from elsewhere."""
        return self._layout.generation

    @property
    def _buffers(self) -> list[Buffers]:
        try:
            rows, buffers = self._layout.schema.parse(self.payload, self._head)
        except core.CorruptError as error:
            raise self._damage(error) from None
        if rows != self.rows:
            raise self._damage(f"it should have {self.rows} rows; found {rows}")
        return buffers

    def columns(self) -> dict[str, Array]:
        """The rows by column, without a copy where numpy has the type.

        Kind `rows`: `time` (int64 ns) and each channel.
        Kind `samples`: `samples`, [rows, channels].
        Kind `frames`: `time`, the images [rows, height, width], each other channel.
        Text comes as objects, `None` where it is missing; what a number is where it is missing
        means nothing (`masks` says where): NaN for floats, 0 for others.
        """
        payload, rows = self.payload, self.rows
        found: dict[str, Array] = {}
        for (name, kind), buffers in zip(self._layout.numpy_types, self._buffers, strict=True):
            if kind is None:
                found[name] = self._odd(buffers)
            else:
                found[name] = np.frombuffer(payload, kind, rows, buffers[5])
        return found

    def _odd(self, buffers: Buffers) -> Array:
        """A column that numpy has no type for: text, which alone has offsets, or bits."""
        if buffers[4]:
            return self._texts(buffers)
        return self._bits(*buffers[5:]).view(np.bool_)

    def _bits(self, at: int, length: int) -> NDArray[np.uint8]:
        packed = np.frombuffer(self.payload, np.uint8, length, at)
        return np.unpackbits(packed, count=self.rows, bitorder="little")

    def _texts(self, buffers: Buffers) -> Array:
        _, _, _, offsets_at, offsets_len, at, length = buffers
        ends = np.frombuffer(self.payload, np.int32, offsets_len // 4, offsets_at).tolist()
        data = bytes(memoryview(self.payload)[at : at + length])
        texts = np.empty(self.rows, dtype=object)
        try:
            for row in range(self.rows):
                texts[row] = data[ends[row] : ends[row + 1]].decode()
        except UnicodeDecodeError as error:
            raise self._damage(f"a text is damaged: {error}") from None
        missing = self._missing(buffers)
        if missing is not None:
            texts[missing] = None
        return texts

    def _missing(self, buffers: Buffers) -> NDArray[np.bool_] | None:
        nulls, at, length = buffers[:3]
        return self._bits(at, length) == 0 if nulls else None

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """For each column with missing values: True where one is missing."""
        named = zip(self._layout.columns, self._buffers, strict=True)
        found = ((column[0], self._missing(buffers)) for column, buffers in named)
        return {name: missing for name, missing in found if missing is not None}

    def times(self) -> NDArray[np.int64]:
        """Each row's time in ns since the epoch; for samples, exact from first time and rate."""
        if self.spec.kind == "samples":
            return sample_times(self.spec, self.first_nanos, self.rows)
        return self.columns()[TIME]

    def to_numpy(self) -> dict[str, Array]:
        """The same as `columns`."""
        return self.columns()

    def to_arrow(self) -> pa.RecordBatch:
        """The rows as pyarrow has them; numbers are not copied."""
        arrow = pyarrow()
        if self._head is not None:
            return arrow.record_batch(self)
        # pyarrow believes a message's numbers; this checks them first.
        self._buffers  # noqa: B018
        buffer, schema = arrow.py_buffer(self.payload), self._layout.arrow_schema
        try:
            return arrow.ipc.read_record_batch(buffer, schema)
        except arrow.ArrowInvalid as error:
            raise self._damage(error) from None

    def to_pandas(self) -> pd.DataFrame:
        """See `Window.to_pandas`."""
        return dataframes.to_pandas(self._layout, self)

    def to_polars(self) -> pl.DataFrame:
        """See `Window.to_polars`."""
        return dataframes.to_polars(self._layout, self)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        with self._checked():
            return self._layout.schema.export_array(self.payload, self._head)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        with self._checked():
            return self._layout.schema.export_stream([self.parts])

    def __arrow_c_schema__(self) -> object:
        return self._layout.schema.export_schema()

    @property
    def parts(self) -> tuple[bytes | memoryview, bytes | None]:
        """The payload, and a copy of its head if the payload may change."""
        return self.payload, self._head

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except core.CorruptError as error:
            raise self._damage(error) from None

    def _damage(self, what: object) -> CorruptRecordError:
        name = self.spec.name
        return CorruptRecordError(f"record {self.sequence} of stream {name!r}: {what}", stream=name)


def sample_nanos(spec: StreamSpec, row: int) -> int:
    """Time of a row after the first one of its record, in ns, rounded down."""
    rate = spec.sample_rate
    if rate is None:
        raise StreamError(f"stream {spec.name!r} has no sample rate", stream=spec.name)
    return row * NANOS_PER_SEC * rate.denominator // rate.numerator


def sample_times(spec: StreamSpec, first_nanos: int, rows: int) -> NDArray[np.int64]:
    """The times of rows that follow each other at the stream's rate, in ns."""
    rate = spec.sample_rate
    if rate is None or rows * NANOS_PER_SEC * rate.denominator > _MAX_INT64:
        times = [first_nanos + sample_nanos(spec, row) for row in range(rows)]
        return np.array(times, np.int64)
    steps = np.arange(rows, dtype=np.int64) * (NANOS_PER_SEC * rate.denominator)
    return steps // rate.numerator + first_nanos


class CopiedRecord(core.Copied, Record):  # type: ignore[override]
    """A record that owns its bytes; made of its layout, and what the core has copied.

    Whoever follows a ring makes it before the record is there, since what is left to do after
    waking is done with cold caches.
    """

    __slots__ = ()

    @property
    def _layout(self) -> Layout:  # type: ignore[override]
        layout: Layout = self.owner
        return layout


_layouts: OrderedDict[int, tuple[StreamSpec, Layout]] = OrderedDict()
_MAX_LAYOUTS = 64


def _layout_of(spec: StreamSpec) -> Layout:
    """The spec's layout, remembered for the specs used last (a spec cannot be hashed)."""
    found = _layouts.get(id(spec))
    if found is not None:
        return found[1]
    layout = Layout.from_spec(spec)
    _layouts[id(spec)] = (spec, layout)
    if len(_layouts) > _MAX_LAYOUTS:
        _layouts.popitem(last=False)
    return layout


def decode(
    spec: StreamSpec,
    payload: bytes | bytearray | memoryview,
    *,
    sequence: int = 0,
    first_nanos: int = 0,
    last_nanos: int = 0,
    first_row: int = 0,
) -> Record:
    """Make a record of a payload that was kept elsewhere; the payload is not copied."""
    layout = _layout_of(spec)
    try:
        rows, _ = layout.schema.parse(payload)
    except core.CorruptError as error:
        raise CorruptRecordError(
            f"record {sequence} of stream {spec.name!r}: {error}", stream=spec.name
        ) from None
    return CopiedRecord(layout, sequence, (rows, first_nanos, last_nanos, first_row), payload)
