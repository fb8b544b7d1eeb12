"""The default plot: /entry/data, chosen from the streams that take part.

A signal over a position needs both at the same moments, but a stage and a meter are read one after
the other.
So the position at each reading is the last one that was read back before it: held, not
interpolated, and marked so.
While the file grows, a reading may be joined before a position of the same second has arrived; at
the end all are joined anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ringdaq.model import SAMPLES, TIME, Channel
from ringdaq.recorder import hdf5
from ringdaq.recorder.group import StreamGroup

PIECE_ROWS = 1 << 20
HELD = "the last position read back at or before each reading; NaN before the first"


class DefaultPlot:
    """What a viewer shows first; chosen once, as soon as there is something to show."""

    def __init__(self, entry: Any, capabilities: Mapping[str, Sequence[str]]) -> None:
        self._data = entry["data"]
        self._capabilities = capabilities
        self._positions: StreamGroup | None = None
        self._signal: StreamGroup | None = None
        self._axis: Any = None
        self._chosen = False

    def choose(self, groups: Sequence[StreamGroup]) -> None:
        """Pick among these streams, unless that has been done."""
        if self._chosen:
            return
        readable = self._scalar(groups, "Readable", "position")
        movable = self._scalar(groups, "Movable", "value")
        samples = next((g for g in groups if g.spec.kind == "samples"), None)
        frames = next((g for g in groups if g.spec.kind == "frames"), None)
        if readable and movable and readable is not movable:
            self._plot_over_position(readable, movable)
        elif found := readable or samples or movable or frames:
            self._plot_over_time(found)

    def _scalar(
        self, groups: Sequence[StreamGroup], capability: str, other: str
    ) -> StreamGroup | None:
        for group in groups:
            spec = group.spec
            able = capability in self._capabilities.get(spec.instrument, ())
            if able and spec.kind == "rows" and (first := number(group)) and first.name != other:
                return group
        return None

    def _plot_over_position(self, signal: StreamGroup, positions: StreamGroup) -> None:
        self._signal, self._positions = signal, positions
        channel, axis = number(signal), number(positions)
        assert channel is not None
        assert axis is not None
        name = hdf5.link_name(positions.spec.instrument or axis.name)
        label = self._link(signal, channel.name, avoid=name)
        self._axis = hdf5.growing(self._data, name, np.float64)
        self._axis.attrs.update({"units": hdf5.text(axis.unit), "derived": HELD})
        self._data.attrs.update({"signal": label, "axes": [name], f"{name}_indices": np.int64(0)})
        self._chosen = True

    def _plot_over_time(self, group: StreamGroup) -> None:
        if group.spec.kind == "samples":
            column, rank = SAMPLES, 2
        else:
            image = group.spec.kind == "frames"
            channel = group.spec.channels[0] if image else number(group) or group.spec.channels[0]
            column, rank = channel.name, 1 + len(channel.shape)
        label = self._link(group, column, avoid=TIME)
        axes = [TIME, *(["."] * (rank - 1))]
        self._data[TIME] = hdf5.h5py_module().SoftLink(f"{group.group.name}/{TIME}")
        self._data.attrs.update({"signal": label, "axes": axes, f"{TIME}_indices": np.int64(0)})
        self._chosen = True

    def _link(self, group: StreamGroup, column: str, *, avoid: str) -> str:
        label = hdf5.link_name(group.spec.instrument or group.spec.name, (avoid,))
        target = group.columns[column].dataset.name
        self._data[label] = hdf5.h5py_module().SoftLink(target)
        return label

    # --- the held position

    def write(self) -> None:
        """Join the readings that are new."""
        if self._axis is not None:
            self._join(self._axis.shape[0])

    def finish(self) -> None:
        """Join all readings anew, now that every position is there."""
        if self._axis is not None:
            self._join(0)

    def _join(self, start: int) -> None:
        assert self._signal is not None
        assert self._positions is not None
        rows = self._signal.rows
        self._axis.resize(rows, axis=0)
        for first in range(start, rows, PIECE_ROWS):
            last = min(first + PIECE_ROWS, rows)
            times = self._signal.times(first, last)
            self._axis[first:last] = held_positions(self._positions, times)


def number(group: StreamGroup) -> Channel | None:
    """The first channel of a stream that is a single number."""
    for channel in group.spec.channels:
        if not channel.shape and channel.dtype not in ("string", "bool"):
            return channel
    return None


def held_positions(positions: StreamGroup, times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each time, the last position at or before it; NaN where there is none."""
    found = np.full(len(times), np.nan)
    channel = number(positions)
    if not len(times) or not positions.rows or channel is None:
        return found
    first, last = positions.rows_between(int(times.min()), int(times.max()))
    known = positions.times(first, last)
    if not len(known):
        return found
    values = positions.columns[channel.name].dataset[first:last]
    place = np.searchsorted(known, times, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)
