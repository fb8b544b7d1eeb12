"""One stream in the HDF5 file: a group with a time column and a dataset for each channel."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ringdaq.errors import RecordingError
from ringdaq.model import SAMPLES, TIME, Channel, StreamSpec
from ringdaq.recorder import hdf5
from ringdaq.recorder.batch import Array, Batch, join
from ringdaq.recorder.entries import RecordsEntry
from ringdaq.recorder.storage import Storage
from ringdaq.recorder.tables import Counters

MISSING = "missing"
PENDING_BYTES = 8 << 20
LARGE_BYTES = 64 << 10
COUNTERS = tuple(Counters.__dataclass_fields__)


class Column:
    """One dataset that grows, with the dataset that says which of its values are missing."""

    def __init__(self, dataset: Any, mask: Any = None) -> None:
        self.dataset = dataset
        self.mask = mask
        self._append = hdf5.append_chunks if hdf5.has_rows_of_its_own(dataset) else hdf5.append

    def append(self, pieces: Sequence[Array], missing: Sequence[Array | None]) -> None:
        """Put values at the end; a piece without `missing` has all of them."""
        self._append(self.dataset, pieces)
        if self.mask is not None:
            start = self.mask.shape[0]
            # Chunks of the mask that hold nothing but "there" are never stored.
            self.mask.resize(start + sum(map(len, pieces)), axis=0)
            for values, lacks in zip(pieces, missing, strict=True):
                if lacks is not None:
                    self.mask[start : start + len(values)] = lacks
                start += len(values)

    def append_missing(self, rows: int) -> None:
        """Rows of a generation that lacks this channel."""
        start = self.mask.shape[0]
        self.dataset.resize(start + rows, axis=0)
        if self.dataset.dtype.kind == "f":
            self.dataset[start:] = np.nan
        self.mask.resize(start + rows, axis=0)
        self.mask[start:] = True

    def equals(self, start: int, values: Array, missing: Array | None) -> bool:
        """Whether the dataset holds exactly this from row `start` on."""
        stop = start + len(values)
        held = self.dataset[start:stop]
        if held.dtype == object:
            held = np.array([v.decode() if isinstance(v, bytes) else v for v in held], dtype=object)
        if missing is not None and not self._lacks(start, stop, missing):
            return False
        return bool(np.array_equal(held, values, equal_nan=values.dtype.kind == "f"))

    def _lacks(self, start: int, stop: int, missing: Array) -> bool:
        if self.mask is None:
            return not missing.any()
        return bool(np.array_equal(self.mask[start:stop], missing))


class StreamGroup:
    """All generations of one stream that fit together, written batch by batch."""

    def __init__(self, group: Any, spec: StreamSpec, storage: Storage | None = None) -> None:
        """Fill an empty HDF5 group with the datasets of a stream."""
        storage = storage or Storage()
        self._filters, self._chunk_bytes = storage.filters(), storage.chunk_bytes
        self.spec = spec
        self.group = group
        self.rows = 0
        """Rows written, all generations together."""
        self.taken_rows = 0
        """Rows taken, those that are not yet written too."""
        self.pending_bytes = 0
        self._pending: list[tuple[StreamSpec, list[RecordsEntry]]] = []
        group.attrs.update(_attributes(spec))
        self._time = self._growing(TIME, np.int64)
        self._time.attrs.update({"units": "ns", "start": hdf5.EPOCH, "epoch": hdf5.EPOCH})
        self._masks = (
            hdf5.group(self.group, MISSING, "NXcollection")
            if any(_may_be_missing(spec.kind, channel) for channel in spec.channels)
            else None
        )
        self.columns: dict[str, Column] = {}
        if spec.kind == "samples":
            self._add_samples(spec)
        else:
            self.add_generation(spec)
        if spec.kind != "rows":
            self._say_what_to_plot()

    def _growing(self, name: str, dtype: Any, **more: Any) -> Any:
        chunk_bytes = self._chunk_bytes if more.get("row_shape") else None
        return hdf5.growing(
            self.group, name, dtype, chunk_bytes=chunk_bytes, filters=self._filters, **more
        )

    def _say_what_to_plot(self) -> None:
        column = next(iter(self.columns.values()))
        axes = [TIME, *["."] * (column.dataset.ndim - 1)]
        signal = column.dataset.name.rpartition("/")[2]
        self.group.attrs.update({"signal": signal, "axes": axes, f"{TIME}_indices": np.int64(0)})

    def fits(self, spec: StreamSpec) -> bool:
        """Whether a further generation can go on in these datasets."""
        if spec.kind != self.spec.kind or spec.kind != "rows":
            return spec.to_dict() == self.spec.to_dict()
        known = {c.name: c for c in self.spec.channels}
        return all(known.get(c.name, c) == c for c in spec.channels)

    def add_generation(self, spec: StreamSpec) -> None:
        """Make the datasets of channels that are new; the rows before have no value there."""
        if self.spec.kind == "samples":
            return  # all channels are one dataset, and a generation that fits has the same
        new = [c for c in spec.channels if c.name not in self.columns]
        for channel in new:
            self._add_channel(channel)
        known = {c.name: c for c in (*self.spec.channels, *new)}
        self.spec = StreamSpec(
            name=self.spec.name,
            kind=self.spec.kind,
            channels=tuple(known.values()),
            sample_rate=self.spec.sample_rate,
            instrument=self.spec.instrument,
            simulated=self.spec.simulated or spec.simulated,
            metadata=self.spec.metadata,
        )

    def _add_channel(self, channel: Channel) -> None:
        link = hdf5.link_name(channel.name, (*self.group, MISSING))
        fill = np.nan if self.rows and channel.dtype.startswith("float") else None
        dataset = self._growing(
            link, _dtype(channel), row_shape=channel.shape, rows=self.rows, fill=fill
        )
        dataset.attrs.update(_channel_attributes(channel))
        masked = _may_be_missing(self.spec.kind, channel)
        self.columns[channel.name] = Column(dataset, self._mask(link, dataset) if masked else None)

    def _mask(self, link: str, dataset: Any) -> Any:
        mask = hdf5.growing(self._masks, link, bool, rows=self.rows)
        if self.rows:
            mask[:] = True
        dataset.attrs["missing"] = mask.name
        return mask

    def _add_samples(self, spec: StreamSpec) -> None:
        channels = spec.channels
        dataset = self._growing(SAMPLES, channels[0].dtype, row_shape=(len(channels),))
        same = {c.unit for c in channels} if all(_is_physical(c) for c in channels) else {""}
        dataset.attrs["units"] = same.pop() if len(same) == 1 else ""
        dataset.attrs["physical"] = "samples * channel_scale + channel_offset, in channel_unit"
        h5py = hdf5.h5py_module()
        for part in ("name", "unit", "description"):
            texts = [hdf5.text(getattr(c, part)) for c in channels]
            self.group.create_dataset(f"channel_{part}", data=texts, dtype=h5py.string_dtype())
        for part in ("scale", "offset"):
            made = self.group.create_dataset(
                f"channel_{part}", data=[getattr(c, part) for c in channels]
            )
            made.attrs["units"] = ""
        self.columns[SAMPLES] = Column(dataset)

    def count(self, counters: Counters) -> None:
        """Say how many rows are kept and lost."""
        for name in COUNTERS:
            hdf5.put(self.group, name, np.int64(getattr(counters, name)))

    # --- rows

    def times(self, first: int, last: int) -> Array:
        """The times of rows `first` to `last` (not included), int64 ns."""
        found: Array = self._time[first:last]
        return found

    def length(self) -> int:
        """How many rows the datasets hold; raises `RecordingError` where they differ."""
        lengths = {TIME: int(self._time.shape[0])}
        lengths |= {name: int(column.dataset.shape[0]) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1:
            raise RecordingError(f"the columns of a stream must be equally long; found {lengths}")
        return lengths[TIME]

    def rows_between(self, first_nanos: int, last_nanos: int) -> tuple[int, int]:
        """The rows that hold at some moment between two times: first row, one after the last."""
        rows = range(self.rows)
        first = bisect_right(rows, first_nanos, key=lambda row: int(self._time[row]))
        last = bisect_right(rows, last_nanos, key=lambda row: int(self._time[row]))
        return max(first - 1, 0), last

    def add(self, records: RecordsEntry, spec: StreamSpec) -> None:
        """Take records; they reach the datasets with the next `write`."""
        if not self._pending or self._pending[-1][0] is not spec:
            self._pending.append((spec, []))
        self._pending[-1][1].append(records)
        self.taken_rows += records.rows
        self.pending_bytes += len(records.payloads)
        if self.pending_bytes > PENDING_BYTES:
            self.write()

    def write(self) -> None:
        """Append everything taken to the datasets."""
        pending, self._pending, self.pending_bytes = self._pending, [], 0
        for spec, entries in pending:
            self._append([join(spec, alike) for alike in _alone_or_together(entries)])

    def _append(self, batches: Sequence[Batch]) -> None:
        """Rows of one generation; a dataset is made longer once, as that costs 100 µs."""
        hdf5.append(self._time, [np.concatenate([batch.times for batch in batches])])
        rows = sum(batch.rows for batch in batches)
        for name, column in self.columns.items():
            if name in batches[0].values:
                column.append(
                    [batch.values[name] for batch in batches],
                    [batch.masks.get(name) for batch in batches],
                )
            else:
                column.append_missing(rows)
        self.rows += rows

    def holds(self, start: int, spec: StreamSpec, records: Sequence[RecordsEntry]) -> bool:
        """Whether the datasets hold exactly these records from row `start` on."""
        batch = join(spec, records)
        if not np.array_equal(self._time[start : start + batch.rows], batch.times):
            return False
        return all(
            self.columns[name].equals(start, values, batch.masks.get(name))
            for name, values in batch.values.items()
        )


def _alone_or_together(entries: Sequence[RecordsEntry]) -> Iterable[Sequence[RecordsEntry]]:
    """Large records stay where they are; joining them would copy them."""
    large = entries[0].frames[0, 3] >= LARGE_BYTES
    return ([entry] for entry in entries) if large else [entries]


def _may_be_missing(kind: str, channel: Channel) -> bool:
    """A frame has its image, and samples have all their channels."""
    return kind == "rows" or (kind == "frames" and not channel.shape)


def _dtype(channel: Channel) -> Any:
    if channel.dtype == "string":
        return hdf5.h5py_module().string_dtype()
    return np.dtype(channel.dtype)


def _is_physical(channel: Channel) -> bool:
    return channel.scale == 1.0 and channel.offset == 0.0


def _channel_attributes(channel: Channel) -> dict[str, object]:
    found: dict[str, object] = {"name": hdf5.text(channel.name)}
    if channel.dtype not in ("string", "bool"):
        found |= {
            "units": hdf5.text(channel.unit),
            "scale": channel.scale,
            "offset": channel.offset,
        }
    if channel.description:
        found["description"] = hdf5.text(channel.description)
    return found


def _attributes(spec: StreamSpec) -> dict[str, object]:
    found: dict[str, object] = {
        "stream": spec.name,
        "kind": spec.kind,
        "instrument": spec.instrument,
        "simulated": spec.simulated,
        "metadata": hdf5.to_json(dict(spec.metadata)),
    }
    if spec.sample_rate is not None:
        found["sample_rate"] = str(spec.sample_rate)
        found["sample_rate_hz"] = float(spec.sample_rate)
    return found | dict.fromkeys(COUNTERS, np.int64(0))
