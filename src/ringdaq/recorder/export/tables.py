"""Parquet and Arrow files: one a stream, values as stored, their meaning in the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.errors import MissingExtraError
from ringdaq.model import SAMPLES, TIME, Channel
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import (
    file_name,
    provenance,
    stream_facts,
    to_json,
    write_about,
)
from ringdaq.recorder.readback import RecordedFile, RecordedStream

PIECE_BYTES = 16 << 20


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(
            "Parquet and Arrow files need pyarrow; install it with: pip install 'ringdaq[arrow]'",
            extra="arrow",
        ) from error
    return pyarrow


def write_parquet(
    file: RecordedFile, streams: Sequence[RecordedStream], directory: Path
) -> Exported:
    """`STREAM.parquet`, compressed with zstd."""
    _arrow()
    from pyarrow import parquet

    def begin(path: Path, schema: Any) -> Any:
        return parquet.ParquetWriter(path, schema, compression="zstd")

    return _write(file, streams, directory, "parquet", begin)


def write_arrow(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.arrow`: Arrow IPC files, also known as Feather version 2."""
    arrow = _arrow()

    def begin(path: Path, schema: Any) -> Any:
        return arrow.ipc.new_file(str(path), schema)

    return _write(file, streams, directory, "arrow", begin)


def _write(
    file: RecordedFile,
    streams: Sequence[RecordedStream],
    directory: Path,
    suffix: str,
    begin: Callable[[Path, Any], AbstractContextManager[Any]],
) -> Exported:
    done = Exported(write_about(file, list(streams), directory))
    about = to_json(provenance(file))
    for stream in streams:
        schema = schema_of(stream, about)
        path = directory / f"{file_name(stream.name)}.{suffix}"
        with begin(path, schema) as out:
            for batch in _batches(stream, schema):
                out.write_batch(batch)
        done.files.append(path)
    return done


def schema_of(stream: RecordedStream, about: str) -> Any:
    """Columns with unit, scale and offset; the run and the stream as JSON in the metadata."""
    arrow = _arrow()
    fields = [arrow.field(TIME, arrow.timestamp("ns", tz="UTC"), nullable=False)]
    fields += [_field(arrow, channel) for channel in stream.spec.channels]
    metadata = {"ringdaq.stream": to_json(stream_facts(stream)), "ringdaq.run": about}
    return arrow.schema(fields, metadata=metadata)


def _field(arrow: Any, channel: Channel) -> Any:
    names = {"bool": arrow.bool_(), "string": arrow.string()}
    kind = names.get(channel.dtype) or arrow.from_numpy_dtype(np.dtype(channel.dtype))
    if channel.shape:
        kind = arrow.list_(kind, int(np.prod(channel.shape)))
    meaning = {
        "unit": channel.unit,
        "scale": repr(channel.scale),
        "offset": repr(channel.offset),
        "description": channel.description,
        "shape": to_json(list(channel.shape)),
    }
    return arrow.field(channel.name, kind, metadata=meaning)


def _batches(stream: RecordedStream, schema: Any) -> Iterator[Any]:
    arrow = _arrow()
    row_bytes = 8 + sum(
        8 if c.dtype == "string" else np.dtype(c.dtype).itemsize * int(np.prod(c.shape))
        for c in stream.spec.channels
    )
    step = max(1, PIECE_BYTES // row_bytes)
    for first in range(0, stream.rows, step):
        end = min(first + step, stream.rows)
        columns = [arrow.array(stream.times(first, end), type=schema.field(0).type)]
        columns += _columns(arrow, stream, first, end)
        yield arrow.record_batch(columns, schema=schema)


def _columns(arrow: Any, stream: RecordedStream, first: int, end: int) -> Iterator[Any]:
    if stream.spec.kind == "samples":
        block = stream.values(SAMPLES, first, end)
        for place in range(block.shape[1]):
            yield arrow.array(np.ascontiguousarray(block[:, place]))
        return
    for channel in stream.spec.channels:
        values = stream.values(channel.name, first, end)
        if channel.shape:
            flat = arrow.array(values.reshape(-1))
            yield arrow.FixedSizeListArray.from_arrays(flat, int(np.prod(channel.shape)))
        else:
            kind = arrow.string() if channel.dtype == "string" else None
            yield arrow.array(values, type=kind, mask=stream.missing(channel.name, first, end))
