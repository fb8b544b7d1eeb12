"""Rows and folds as parts of a history: by channel, in physical units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ringdaq.history import HistoryPart
from ringdaq.model import SAMPLES, Channel, StreamSpec
from ringdaq.streams.history import Rows
from ringdaq.streams.history_pyramid import Fold
from ringdaq.streams.history_source import Hole, foldable

Array = np.ndarray[Any, np.dtype[Any]]


def exact_part(
    kind: str, rows: Rows, spec: StreamSpec, channels: Sequence[str]
) -> tuple[HistoryPart, list[Hole]]:
    """Rows as they are."""
    values = {c.name: _exact(c, n, rows, spec) for n, c in _wanted(spec, channels)}
    missing = {name: mask for name, mask in rows.missing.items() if name in values}
    counts = np.ones(len(rows.times), np.int64)
    part = HistoryPart(kind, False, rows.times, rows.times, counts, values, values, missing)
    return part, rows.holes


def _wanted(spec: StreamSpec, channels: Sequence[str]) -> list[tuple[int, Channel]]:
    return [(n, c) for n, c in enumerate(spec.channels) if not channels or c.name in channels]


def _exact(channel: Channel, place: int, rows: Rows, spec: StreamSpec) -> Array:
    if not rows.columns:
        return np.empty(0)
    if spec.kind == "samples":
        return physical(channel, rows.columns[SAMPLES][:, place])
    stored = rows.columns[channel.name]
    shaped = stored.reshape(len(rows.times), *channel.shape)
    return physical(channel, shaped)


def folded_part(
    kind: str, fold: Fold, holes: list[Hole], spec: StreamSpec, channels: Sequence[str]
) -> tuple[HistoryPart, list[Hole]]:
    """Bins with least and greatest values; channels that have none are left out."""
    names = foldable(spec)
    low, high = {}, {}
    for place, channel in _wanted(spec, channels):
        if spec.kind == "samples":
            ends = fold.low[0][:, place], fold.high[0][:, place]
        elif channel.name in names:
            column = names.index(channel.name)
            ends = fold.low[column][:, 0], fold.high[column][:, 0]
        else:
            continue
        # A negative scale turns the least into the greatest.
        ordered = ends if channel.scale >= 0 else ends[::-1]
        low[channel.name], high[channel.name] = (physical(channel, end) for end in ordered)
    part = HistoryPart(kind, True, fold.first_nanos, fold.last_nanos, fold.rows, low, high)
    return part, holes


def physical(channel: Channel, stored: Array) -> Array:
    """Stored values in the channel's unit; contiguous."""
    if (channel.scale, channel.offset) == (1.0, 0.0) or stored.dtype == object:
        return np.ascontiguousarray(stored)
    return stored * channel.scale + channel.offset
