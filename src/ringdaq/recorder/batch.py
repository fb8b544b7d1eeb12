"""Many records as one set of columns: an append to HDF5 costs 100 µs, however few its rows.

Decoding record by record would cost as much again for records of one row.
Records of one stream mostly have the same message header, byte for byte; then their buffers lie at
the same places, one of them is decoded, and the others are cut by its measure, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ringdaq.model import SAMPLES, TIME, StreamSpec
from ringdaq.recorder.entries import RecordEntry
from ringdaq.recorder.hdf5 import text
from ringdaq.streams import Record, decode

Array = np.ndarray[Any, Any]
# An encapsulated Arrow message: 4 bytes of 0xFF, the header's length, the header, the body.
_PREFIX_BYTES = 8
_FEW = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one stream as columns, each as long as `rows`."""

    rows: int
    times: Array
    """int64 ns since the epoch."""
    values: dict[str, Array]
    masks: dict[str, Array]
    """True where a value is missing; only for columns with missing values."""


def join(spec: StreamSpec, records: Sequence[RecordEntry]) -> Batch:
    """The records' rows, one after the other; raises `CorruptRecordError` for one that is none."""
    parts = [part for alike in _runs(records) for part in _columns(spec, alike)]
    return Batch(
        rows=sum(part.rows for part in parts),
        times=np.concatenate([part.times for part in parts]),
        values={
            name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values
        },
        masks=_join_masks(parts),
    )


def _runs(records: Sequence[RecordEntry]) -> Iterator[list[RecordEntry]]:
    """Records that follow each other and are equally long."""
    for _, alike in groupby(records, key=lambda record: (len(record.payload), record.rows)):
        yield list(alike)


def _columns(spec: StreamSpec, records: Sequence[RecordEntry]) -> list[Batch]:
    together = _cut_alike(spec, records) if len(records) > _FEW else None
    return [together] if together is not None else [_one(_decode(spec, r)) for r in records]


def _decode(spec: StreamSpec, record: RecordEntry) -> Record:
    return decode(
        spec,
        record.payload,
        sequence=record.sequence,
        first_nanos=record.first_nanos,
        last_nanos=record.last_nanos,
    )


def _one(record: Record) -> Batch:
    columns = record.columns()
    return Batch(
        rows=record.rows,
        times=record.times(),
        values={name: _plain(values) for name, values in columns.items() if name != TIME},
        masks=dict(record.masks()),
    )


def _plain(values: Array) -> Array:
    """Texts as HDF5 can hold them; numbers as they are."""
    if values.dtype != object:
        return values
    plain = np.empty(len(values), dtype=object)
    plain[:] = ["" if value is None else text(value) for value in values]
    return plain


def _join_masks(parts: Sequence[Batch]) -> dict[str, Array]:
    names = sorted({name for part in parts for name in part.masks})
    return {
        name: np.concatenate([part.masks.get(name, np.zeros(part.rows, bool)) for part in parts])
        for name in names
    }


# --- records with the same message header


def _cut_alike(spec: StreamSpec, records: Sequence[RecordEntry]) -> Batch | None:
    """All records at once, or `None` if they differ or hold more than plain numbers."""
    first = _decode(spec, records[0])
    columns = first.columns()
    places = {name: _place(records[0].payload, values) for name, values in columns.items()}
    if first.masks() or None in places.values():
        return None
    size = len(records[0].payload)
    stacked = np.frombuffer(b"".join(r.payload for r in records), np.uint8).reshape(-1, size)
    header = _PREFIX_BYTES + int(stacked[0, 4:_PREFIX_BYTES].view(np.int32)[0])
    if not (stacked[:, :header] == stacked[0, :header]).all():
        return None
    values = {name: _cut(stacked, places[name] or 0, held) for name, held in columns.items()}
    if spec.kind == SAMPLES:
        starts = np.array([record.first_nanos for record in records], np.int64)
        times = (starts[:, None] + (first.times() - first.first_nanos)[None, :]).ravel()
    else:
        times = values.pop(TIME)
    return Batch(rows=len(times), times=times, values=values, masks={})


def _place(payload: bytes | memoryview, values: Array) -> int | None:
    """Where in the payload a column's values begin; `None` if they were copied out of it."""
    start = np.frombuffer(payload, np.uint8).__array_interface__["data"][0]
    place = int(values.__array_interface__["data"][0]) - int(start)
    inside = place >= 0 and place + values.nbytes <= len(payload) and values.nbytes > 0
    return place if inside and values.flags.c_contiguous else None


def _cut(stacked: Array, place: int, like: Array) -> Array:
    cut = np.ascontiguousarray(stacked[:, place : place + like.nbytes])
    return cut.reshape(-1).view(like.dtype).reshape(-1, *like.shape[1:])
