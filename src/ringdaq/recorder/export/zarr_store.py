"""Zarr: a group a stream, arrays as stored, everything else as attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.errors import MissingExtraError, RecordingError
from ringdaq.model import SAMPLES, TIME
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import file_name, provenance, stream_facts, to_json
from ringdaq.recorder.readback import RecordedFile, RecordedStream

CHUNK_BYTES = 1 << 20


def write_zarr(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """A store `run.zarr` of version 3."""
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(
            "Zarr stores need zarr; install it with: pip install 'ringdaq[zarr]'", extra="zarr"
        ) from error
    path = directory / "run.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    root.attrs["run"] = to_json(provenance(file))
    done = Exported([path])
    for stream in streams:
        group = root.create_group(file_name(stream.name))
        group.attrs["stream"] = to_json(stream_facts(stream))
        _copy(group, TIME, stream, np.dtype(np.int64), (), {"units": "ns", "epoch": "1970-01-01"})
        _write_stream(group, stream, done)
    return done


def _write_stream(group: Any, stream: RecordedStream, done: Exported) -> None:
    spec = stream.spec
    if spec.kind == "samples":
        attributes = {
            "channels": [c.name for c in spec.channels],
            "units": [c.unit for c in spec.channels],
            "scale": [c.scale for c in spec.channels],
            "offset": [c.offset for c in spec.channels],
            "sample_rate": str(spec.sample_rate),
        }
        dtype = np.dtype(spec.channels[0].dtype)
        _copy(group, SAMPLES, stream, dtype, (len(spec.channels),), attributes)
        return
    for channel in spec.channels:
        if channel.dtype == "string":
            done.left_out.append(f"the texts {stream.name}/{channel.name}: no stable place in Zarr")
            continue
        attributes = {"units": channel.unit, "scale": channel.scale, "offset": channel.offset}
        _copy(group, channel.name, stream, np.dtype(channel.dtype), channel.shape, attributes)
        missing = stream.missing(channel.name)
        if missing is not None:
            name = f"missing_{channel.name}"
            _array(group, name, stream, shape=missing.shape, dtype=np.bool_)[:] = missing


def _copy(
    group: Any,
    column: str,
    stream: RecordedStream,
    dtype: np.dtype[Any],
    row_shape: tuple[int, ...],
    attributes: dict[str, Any],
) -> None:
    rows = max(1, CHUNK_BYTES // max(1, dtype.itemsize * int(np.prod(row_shape))))
    array = _array(
        group,
        column,
        stream,
        shape=(stream.rows, *row_shape),
        chunks=(max(1, min(rows, stream.rows)), *row_shape),
        dtype=dtype,
        attributes=attributes,
    )
    for first in range(0, stream.rows, rows):
        end = min(first + rows, stream.rows)
        timed = column == TIME
        array[first:end] = stream.times(first, end) if timed else stream.values(column, first, end)


def _array(group: Any, column: str, stream: RecordedStream, **facts: Any) -> Any:
    try:
        return group.create_array(file_name(column), **facts)
    except (ValueError, FileExistsError) as error:
        raise RecordingError(
            f"Zarr needs names of channels that can be those of files, each once; it has no place "
            f"for {column!r} of {stream.name!r} ({error}); export other streams, or to Parquet"
        ) from error
