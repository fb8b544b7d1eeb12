"""Many records as one set of columns: an append to HDF5 costs 100 µs, however few its rows.

Decoding record by record would cost as much again for records of one row.
Records of one stream mostly have the same message header, byte for byte; then their buffers lie at
the same places, one of them is decoded, and the others are cut by its measure, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ringdaq.model import SAMPLES, TIME, StreamSpec
from ringdaq.recorder.entries import RecordsEntry
from ringdaq.recorder.hdf5 import text
from ringdaq.streams import Record, decode

Array = np.ndarray[Any, Any]
# An encapsulated Arrow message: 4 bytes of 0xFF, the header's length, the header, the body.
_PREFIX_BYTES = 8
_FEW = 4
_LONG_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one stream as columns, each as long as `rows`."""

    rows: int
    times: Array
    """int64 ns since the epoch."""
    values: dict[str, Array]
    masks: dict[str, Array]
    """True where a value is missing; only for columns with missing values."""


def join(spec: StreamSpec, entries: Sequence[RecordsEntry]) -> Batch:
    """All rows, one after the other; raises `CorruptRecordError` for a record that is none.

    What is not many times over is not copied: it lies where the entries have it.
    """
    parts = [part for entry in entries for alike in _runs(entry) for part in _columns(spec, alike)]
    return Batch(
        rows=sum(part.rows for part in parts),
        times=_joined([part.times for part in parts]),
        values={name: _joined([part.values[name] for part in parts]) for name in parts[0].values},
        masks=_join_masks(parts),
    )


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _runs(entry: RecordsEntry) -> Iterator[RecordsEntry]:
    """Records that follow each other and are equally long."""
    measures = entry.frames[:, [0, 3]]
    changes = (measures[1:] != measures[:-1]).any(axis=1).nonzero()[0] + 1
    for first, end in pairwise([0, *changes.tolist(), entry.records]):
        yield entry.part(first, end) if end - first < entry.records else entry


def _columns(spec: StreamSpec, alike: RecordsEntry) -> list[Batch]:
    together = _cut_alike(spec, alike) if alike.records > _FEW else None
    return [together] if together is not None else [_one(r) for r in _decoded(spec, alike)]


def _decoded(spec: StreamSpec, entry: RecordsEntry) -> Iterator[Record]:
    for number, payload in enumerate(entry.each()):
        _, first, last, _ = entry.frames[number].tolist()
        yield decode(
            spec, payload, sequence=entry.sequence + number, first_nanos=first, last_nanos=last
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


def _cut_alike(spec: StreamSpec, alike: RecordsEntry) -> Batch | None:
    """All records at once, or `None` if they differ or hold more than plain numbers."""
    first = next(_decoded(spec, alike))
    columns = first.columns()
    size = int(alike.frames[0, 3])
    places = {name: _place(alike.payloads, size, values) for name, values in columns.items()}
    if first.masks() or None in places.values():
        return None
    stacked = np.frombuffer(alike.payloads, np.uint8).reshape(-1, size)
    header = _PREFIX_BYTES + int(stacked[0, 4:_PREFIX_BYTES].view(np.int32)[0])
    if not (stacked[:, :header] == stacked[0, :header]).all():
        return None
    values = {name: _cut(stacked, places[name] or 0, held) for name, held in columns.items()}
    if spec.kind == SAMPLES:
        starts = alike.frames[:, 1]
        times = (starts[:, None] + (first.times() - first.first_nanos)[None, :]).ravel()
    else:
        times = values.pop(TIME)
    return Batch(rows=len(times), times=times, values=values, masks={})


def _place(payloads: bytes | memoryview, size: int, values: Array) -> int | None:
    """Where in the first payload a column's values begin; `None` if they were copied out of it."""
    start = np.frombuffer(payloads, np.uint8).__array_interface__["data"][0]
    place = int(values.__array_interface__["data"][0]) - int(start)
    inside = place >= 0 and place + values.nbytes <= size and values.nbytes > 0
    return place if inside and values.flags.c_contiguous else None


def _cut(stacked: Array, place: int, like: Array) -> Array:
    """A column of all records; long rows stay where they are."""
    cut = stacked[:, place : place + like.nbytes]
    if len(like) == 1 and like.nbytes >= _LONG_BYTES:
        return cut.view(like.dtype).reshape(-1, *like.shape[1:])
    return np.ascontiguousarray(cut).reshape(-1).view(like.dtype).reshape(-1, *like.shape[1:])
