"""A recorded file, read back: what is known of the run, and each stream's rows by number."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import RecordingError
from ringdaq.model import SAMPLES, TIME, Channel, StreamKind, StreamSpec
from ringdaq.recorder import hdf5
from ringdaq.streams.history_source import PIECE_BYTES, Piece, holes_between

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Array = np.ndarray[Any, np.dtype[Any]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRIES = 6
PAUSE_SECS = 0.05
GAP_COLUMNS = ("stream", "generation", "row", "first_sequence", "records", "rows", "reason")


class RecordedStream:
    """One stream of a recorded file; rows are counted from 0."""

    def __init__(self, name: str, group: Any) -> None:
        self.name = name
        """Its group in the file; the stream's own name stands in `spec`."""
        self._group = group
        self._links = _links(group)
        self.spec = _spec(group, self._links)
        length = int(group[TIME].shape[0])
        self.rows = min(length, int(group.attrs["durable_rows"])) if _grows(group) else length
        self.gap_rows = int(group.attrs["gap_rows"])
        """Rows that were lost before they could be recorded."""

    def dataset(self, column: str) -> Any:
        """The HDF5 dataset of a column."""
        return self._group[self._links[column]]

    def times(self, first: int = 0, end: int | None = None) -> Array:
        """The times of rows, int64 ns since the epoch."""
        found: Array = self._group[TIME][first : self.rows if end is None else end]
        return found

    def values(self, column: str, first: int = 0, end: int | None = None) -> Array:
        """A column's rows as they are stored; texts as `str`."""
        found: Array = self.dataset(column)[first : self.rows if end is None else end]
        if found.dtype == object:
            texts = [v.decode() if isinstance(v, bytes) else v for v in found]
            found = np.array([*texts, None], dtype=object)[:-1]
        return found

    def missing(self, column: str, first: int = 0, end: int | None = None) -> Array | None:
        """True where a column has no value; `None` where all are there."""
        link = self._links[column]
        if "missing" not in self._group or link not in self._group["missing"]:
            return None
        mask: Array = self._group["missing"][link][first : self.rows if end is None else end]
        return mask.astype(np.bool_) if mask.any() else None

    def physical(self, channel: Channel, first: int = 0, end: int | None = None) -> Array:
        """A channel's values in its unit, float64 where it has scale or offset."""
        if self.spec.kind == "samples":
            place = [c.name for c in self.spec.channels].index(channel.name)
            stored = self.values(SAMPLES, first, end)[:, place]
        else:
            stored = self.values(channel.name, first, end)
        return to_physical(channel, stored)

    # --- as a source of history

    def held(self) -> tuple[int, int]:
        return 0, self.rows

    def find(self, time_nanos: int) -> int:
        times = self._group[TIME]
        return bisect_left(range(self.rows), time_nanos, key=lambda row: int(times[row]))

    def pieces(self, first_row: int, end_row: int, columns: list[str]) -> Iterator[Piece]:
        row_bytes = 8 + sum(self._row_bytes(name) for name in columns)
        step = max(1, 4 * PIECE_BYTES // row_bytes)
        for first in range(first_row, min(end_row, self.rows), step):
            end = min(first + step, end_row, self.rows)
            times = self.times(first, end)
            rows = len(times)
            yield Piece(
                first,
                rows,
                times.__getitem__,
                [self.values(name, first, end).reshape(rows, -1) for name in columns],
                [self.missing(name, first, end) for name in columns],
                holes_between(self.spec, times[:-1], times[1:]),
            )

    def _row_bytes(self, column: str) -> int:
        dataset = self.dataset(column)
        return int(dataset.dtype.itemsize * np.prod(dataset.shape[1:], dtype=np.int64))


def to_physical(channel: Channel, stored: Array) -> Array:
    """Stored values in the channel's unit."""
    if (channel.scale, channel.offset) == (1.0, 0.0) or stored.dtype == object:
        return stored
    return stored * channel.scale + channel.offset


def _grows(group: Any) -> bool:
    return not bool(group.parent.attrs["sealed"])


def _links(group: Any) -> dict[str, str]:
    """The datasets that hold columns, by the column's true name."""
    if group.attrs["kind"] == "samples":
        return {SAMPLES: SAMPLES}
    return {
        str(item.attrs["name"]): link
        for link, item in group.items()
        if link != TIME
        and "name" in item.attrs
        and hasattr(item, "shape")
        # The dataset that `value` points to is there under its own link, as its mask is.
        and not _is_soft(group, link)
    }


def _is_soft(group: Any, link: str) -> bool:
    return isinstance(group.get(link, getlink=True), hdf5.h5py_module().SoftLink)


def _spec(group: Any, links: Mapping[str, str]) -> StreamSpec:
    attributes = group.attrs
    kind: StreamKind = str(attributes["kind"])  # type: ignore[assignment]
    rate = attributes.get("sample_rate")
    samples = kind == "samples"
    channels = _sample_channels(group) if samples else _channels(group, links)
    return StreamSpec(
        name=str(attributes["stream"]),
        kind=kind,
        channels=tuple(channels),
        sample_rate=None if rate is None else Fraction(str(rate)),
        instrument=str(attributes["instrument"]),
        simulated=bool(attributes["simulated"]),
        metadata=json.loads(str(attributes["metadata"])),
    )


def _channels(group: Any, links: Mapping[str, str]) -> list[Channel]:
    """The channels; an image comes first, as in the stream."""
    found = [_channel(name, group[link]) for name, link in links.items()]
    return sorted(found, key=lambda channel: not channel.shape)


def _channel(name: str, dataset: Any) -> Channel:
    attributes = dataset.attrs
    dtype = "string" if dataset.dtype == object else str(dataset.dtype)
    return Channel(
        name,
        dtype,
        unit=str(attributes.get("units", "")),
        shape=tuple(int(edge) for edge in dataset.shape[1:]),
        scale=float(attributes.get("scale", 1.0)),
        offset=float(attributes.get("offset", 0.0)),
        description=str(attributes.get("description", "")),
    )


def _sample_channels(group: Any) -> list[Channel]:
    dtype = str(group[SAMPLES].dtype)
    parts = [
        group["channel_name"].asstr()[:],
        group["channel_unit"].asstr()[:],
        group["channel_scale"][:],
        group["channel_offset"][:],
        group["channel_description"].asstr()[:],
    ]
    return [
        Channel(
            str(name), dtype, str(unit), scale=float(s), offset=float(o), description=str(words)
        )
        for name, unit, s, o, words in zip(*parts, strict=True)
    ]


class RecordedFile:
    """A recording in HDF5, open for reading; it may be growing."""

    def __init__(self, path: str | Path) -> None:
        """Raises `RecordingError` when it is no recording or cannot be opened."""
        self.path = Path(path)
        self._file = _opened(self.path)
        try:
            self.entry = self._file["entry"]
            self.streams = {
                str(name): RecordedStream(str(name), group)
                for name, group in self.entry.items()
                if "stream" in group.attrs and "durable_rows" in group.attrs
            }
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            self._file.close()
            raise RecordingError(
                f"a file that ringdaq recorded is needed; this one is none ({error}): {self.path}"
            ) from error

    @property
    def sealed(self) -> bool:
        """Whether it is complete and was checked."""
        return bool(self.entry.attrs["sealed"])

    def gaps(self) -> list[dict[str, Any]]:
        """What was lost, a mapping a gap; see the table `gaps` of the layout."""
        table = self.entry["gaps"]
        columns = {name: table[name][:] for name in GAP_COLUMNS}
        rows = min(map(len, columns.values()))
        return [
            {name: _plain(column[row]) for name, column in columns.items()} for row in range(rows)
        ]

    def about(self) -> dict[str, Any]:
        """Everything that is known of the run, as plain values."""
        entry = self.entry
        return {
            "recording_id": _text(entry["entry_identifier"]),
            "run_id": _text(entry["experiment_identifier"]),
            "title": _text(entry["title"]),
            "state": str(entry.attrs["state"]),
            "sealed": self.sealed,
            "started_nanos": iso_nanos(_text(entry["start_time"])),
            "ended_nanos": iso_nanos(_text(entry["end_time"])),
            "user": _text(entry["user/name"]),
            "script": _script(entry["process"]),
            "rig": {
                "text": _optional(entry, "rig/data"),
                "path": _optional(entry, "rig/file_name"),
                "hash": _optional(entry, "rig/hash"),
            },
            "versions": _fields(entry["versions"]),
            "metadata": _fields(entry["metadata"]),
            "instruments": {
                _name(link, group): _instrument(group)
                for link, group in entry["instrument"].items()
                if hasattr(group, "items")
            },
            "pipelines": {
                _name(link, note): _pipeline(note)
                for link, note in entry.get("pipelines", {}).items()
            },
            "end": _fields(entry["end"]),
        }

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _opened(path: Path) -> Any:
    """Open without a lock; a flush that runs meanwhile can make one try in a hundred fail."""
    h5py = hdf5.h5py_module()
    if not path.is_file():
        raise RecordingError(f"a recording is an HDF5 file; found no file: {path}")
    reason = ""
    for attempt in range(TRIES):
        # HDF5 wants all openings in one process to be alike, and somebody may have it open here.
        locking = None if attempt % 2 else False
        try:
            return h5py.File(path, "r", locking=locking)
        except (OSError, RuntimeError) as error:
            reason = str(error)
            time.sleep(PAUSE_SECS)
    raise RecordingError(f"the file cannot be read as a recording: {reason}: {path}")


def _script(process: Any) -> dict[str, Any]:
    if "script" not in process:
        return {"name": "", "id": "", "hash": "", "text": "", "parameters": {}}
    return {
        "name": _optional(process, "script/file_name"),
        "id": _optional(process, "script/identifier"),
        "hash": _optional(process, "script/hash"),
        "text": _optional(process, "script/data"),
        "parameters": _fields(process["parameters"]),
    }


def _pipeline(note: Any) -> dict[str, Any]:
    return {
        "path": _optional(note, "file_name"),
        "text": _optional(note, "data"),
        "hash": _optional(note, "hash"),
        "parameters": _fields(note["parameters"]),
        "code": {_optional(file, "file_name"): _optional(file, "data") for file in _code(note)},
    }


def _code(note: Any) -> list[Any]:
    return list(note["code"].values()) if "code" in note else []


def _instrument(group: Any) -> dict[str, Any]:
    attributes = group.attrs
    return {
        "driver": str(attributes.get("driver", "")),
        "simulated": bool(attributes.get("simulated", False)),
        "capabilities": str(attributes.get("capabilities", "")).split(),
        "unit": str(attributes.get("unit", "")),
        "settings": _quantities(group, "settings"),
        "settings_after": _quantities(group, "settings_after"),
        "limits": {
            _name(link, item): [float(end) for end in item[()]]
            for link, item in group.get("limits", {}).items()
        },
    }


def _quantities(group: Any, part: str) -> dict[str, dict[str, Any]]:
    """Settings: each value with its unit."""
    return {
        _name(link, item): {"value": _value(item), "unit": str(item.attrs.get("units", ""))}
        for link, item in group.get(part, {}).items()
    }


def _fields(group: Any) -> dict[str, Any]:
    return {
        _name(link, item): _value(item) for link, item in group.items() if hasattr(item, "shape")
    }


def _name(link: str, item: Any) -> str:
    return str(item.attrs.get("name", link))


def _value(dataset: Any) -> Any:
    value = _plain(dataset[()])
    return json.loads(value) if dataset.attrs.get("encoding") == "json" else value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.tolist() if hasattr(value, "tolist") else value


def _optional(group: Any, path: str) -> str:
    return _text(group[path]) if path in group else ""


def _text(dataset: Any) -> str:
    return str(_plain(dataset[()]))


def iso_nanos(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 time, to the microsecond."""
    stamp = datetime.fromisoformat(text)
    since = (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * NANOS_PER_SEC + since.microseconds * 1000
