"""Records of one ring, read together; their columns are made once for all who want them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ringdaq.gateway.ring_files import Ring
from ringdaq.model import SAMPLES, Channel, StreamSpec
from ringdaq.streams import Record

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """Single values of one channel, those that are missing left out."""

    times: Array
    """int64 nanoseconds since the epoch."""
    values: Array
    """Physical values as float64, or text as objects."""

    def __len__(self) -> int:
        return len(self.times)

    def where(self, chosen: Any) -> Column:
        """Some of the values."""
        return Column(self.times[chosen], self.values[chosen])


class RingBatch:
    """Some records that follow each other in one ring."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.spec = ring.spec
        self.records: list[Record] = []
        self._bytes = 0

    def has_room(self, records: int, size: int) -> bool:
        """Whether one more record may be added."""
        return len(self.records) < records and self._bytes < size

    def add(self, record: Record) -> None:
        """Put the next record in."""
        self.records.append(record)
        self._bytes += len(record.payload)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Single values by channel; channels of images have none."""
        parts = [_columns(record, self.spec) for record in self.records]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _columns(record: Record, spec: StreamSpec) -> dict[str, Column]:
    times, stored, masks = record.times(), record.columns(), record.masks()
    if spec.kind == "samples":
        columns = enumerate(spec.channels)
        return {c.name: Column(times, _physical(stored[SAMPLES][:, i], c)) for i, c in columns}
    found = {}
    for channel in spec.channels:
        if channel.shape:
            continue
        column = Column(times, stored[channel.name])
        missing = masks.get(channel.name)
        present = column if missing is None else column.where(~missing)
        found[channel.name] = Column(present.times, _physical(present.values, channel))
    return found


def _physical(stored: Array, channel: Channel) -> Array:
    if channel.dtype == "string":
        return stored
    values = stored.astype(np.float64)
    if (channel.scale, channel.offset) != (1.0, 0.0):
        values = values * channel.scale + channel.offset
    return values


def _joined(columns: list[Column]) -> Column:
    if len(columns) == 1:
        return columns[0]
    return Column(
        np.concatenate([c.times for c in columns]), np.concatenate([c.values for c in columns])
    )
