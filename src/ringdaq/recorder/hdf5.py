"""Small steps of writing HDF5 that every other part needs: names, texts, units, empty datasets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import MissingExtraError

# A large chunk is read quickly, and makes a short recording look long; one that changes its size
# each time it grows must be small.
CHUNK_BYTES = 128 << 10
PACKED_CHUNK_BYTES = 64 << 10
TABLE_CHUNK_BYTES = 8 << 10
BLOCK_CHUNK_BYTES = 256 << 10
EPOCH = "1970-01-01T00:00:00+00:00"
UNITS_IN_NAMES = {"nanos": "ns", "secs": "s", "hz": "Hz", "bytes": "byte", "percent": "%"}
_HIDDEN = re.compile(r"[%/\x00]")


def h5py_module() -> Any:
    """The module h5py, or `MissingExtraError`."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "recording and reading HDF5 files needs h5py; "
            "install it with: pip install 'ringdaq[record]'",
            extra="record",
        ) from error
    return h5py


def link_name(name: str, taken: Iterable[str] = ()) -> str:
    """The name as a link in a group: `/`, NUL and `%` as `%XX`, never `.`, never a taken one."""
    safe = _HIDDEN.sub(lambda found: f"%{ord(found.group()):02X}", name)
    if not safe.strip(".") and len(safe) <= 2:
        safe = "%2E" * len(safe) or "%"
    while safe in taken:
        safe += "_"
    return safe


def text(value: object) -> str:
    """A text as HDF5 can hold it: NUL and what is not Unicode are escaped."""
    plain = str(value).replace("\0", "\\x00")
    return plain.encode("utf-8", "backslashreplace").decode()


def iso_time(nanos: int) -> str:
    """A time as NeXus wants it: ISO 8601 in UTC, microseconds."""
    secs, rest = divmod(nanos, NANOS_PER_SEC)
    stamp = datetime.fromtimestamp(secs, UTC).replace(microsecond=rest // 1000)
    return stamp.isoformat(timespec="microseconds")


def group(parent: Any, name: str, nx_class: str, **attributes: object) -> Any:
    """A new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    for key, value in attributes.items():
        made.attrs[key] = text(value) if isinstance(value, str) else value
    return made


def field(parent: Any, name: str, value: object, unit: str | None = None) -> Any:
    """A new scalar dataset; a number always has `units`, what is no plain value becomes JSON."""
    if isinstance(value, str):
        return parent.create_dataset(name, data=text(value))
    made = parent.create_dataset(name, data=value)
    if not isinstance(value, bool | np.bool_):
        made.attrs["units"] = unit or ""
    return made


def fields(
    parent: Any, values: Mapping[str, object], units: Mapping[str, str] | None = None
) -> None:
    """One scalar dataset for each value; a name that had to change stands in an attribute."""
    for name, value in values.items():
        made = plain_field(parent, name, value, (units or {}).get(name))
        if made is not None and made.name.rpartition("/")[2] != name:
            made.attrs["name"] = text(name)


def plain_field(parent: Any, name: str, value: object, unit: str | None = None) -> Any:
    """A value of any plain type: numbers and texts as they are, lists and maps as JSON."""
    link = link_name(name, parent)
    if isinstance(value, Mapping) and set(value) == {"value", "unit"}:
        held: Mapping[str, Any] = value
        value, unit = held["value"], str(held["unit"])
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = str(value)
    if isinstance(value, str | bool | int | float | np.generic):
        return field(parent, link, value, unit or unit_of_name(name))
    made = field(parent, link, to_json(value))
    made.attrs["encoding"] = "json"
    return made


def unit_of_name(name: str) -> str:
    """The unit that a name says itself, as in `ended_nanos`."""
    return UNITS_IN_NAMES.get(name.rpartition("_")[2], "") if "_" in name else ""


def to_json(value: object) -> str:
    """Any plain value as JSON; bytes and other strangers as their text."""
    return json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)


def growing(
    parent: Any,
    name: str,
    dtype: Any,
    *,
    row_shape: tuple[int, ...] = (),
    rows: int = 0,
    fill: object = None,
    chunk_bytes: int | None = None,
    filters: Mapping[str, Any] | None = None,
) -> Any:
    """A new dataset that grows along its first axis, chunked for appending."""
    row_bytes = np.dtype(dtype).itemsize * int(np.prod(row_shape, dtype=np.int64))
    single = PACKED_CHUNK_BYTES if filters else CHUNK_BYTES
    wanted = chunk_bytes or (BLOCK_CHUNK_BYTES if row_shape else single)
    chunk_rows = max(1, wanted // max(1, row_bytes))
    return parent.create_dataset(
        name,
        shape=(rows, *row_shape),
        maxshape=(None, *row_shape),
        chunks=(chunk_rows, *(max(1, edge) for edge in row_shape)),
        dtype=dtype,
        fillvalue=fill,
        **(filters or {}),
    )


def append(dataset: Any, pieces: Sequence[np.ndarray[Any, Any]]) -> None:
    """Put rows at the end."""
    start = dataset.shape[0]
    dataset.resize(start + sum(map(len, pieces)), axis=0)
    for values in pieces:
        if len(values):
            dataset[start : start + len(values)] = values
            start += len(values)


def has_rows_of_its_own(dataset: Any) -> bool:
    """Whether each chunk is one row, stored as it is."""
    filters = dataset.id.get_create_plist().get_nfilters()
    return bool(dataset.chunks == (1, *dataset.shape[1:]) and not filters)


def append_chunks(dataset: Any, pieces: Sequence[np.ndarray[Any, Any]]) -> None:
    """Put rows at the end, each of which is a chunk, past HDF5's own buffers."""
    start, rest = dataset.shape[0], (0,) * (dataset.ndim - 1)
    dtype, write = dataset.dtype, dataset.id.write_direct_chunk
    dataset.resize(start + sum(map(len, pieces)), axis=0)
    for row, value in enumerate(chain.from_iterable(pieces), start):
        write((row, *rest), np.ascontiguousarray(value, dtype))


def put(target: Any, name: str, value: object) -> None:
    """Replace an attribute's value where it stands, so that the tree does not change."""
    target.attrs.modify(name, value)
