"""Least and greatest value of many rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ringdaq.streams.record import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows that are folded together lie in the processor's cache.
_CACHE_BYTES = 256 << 10


def fold_even(values: Array, bin_rows: int) -> tuple[Array, Array]:
    """Least and greatest of every `bin_rows` rows of [rows, width]: two arrays [bins, width].

    `bin_rows` is a power of two and divides the rows. NaN counts as missing; a bin without a value
    is NaN.
    """
    rows, width = values.shape
    flat = values.reshape(rows // bin_rows, bin_rows * width)
    low = np.empty((len(flat), width), values.dtype)
    high = np.empty_like(low)
    step = max(1, _CACHE_BYTES // max(1, flat.shape[1] * values.itemsize))
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        low[start : start + step] = _halved(np.minimum, part, width)
        high[start : start + step] = _halved(np.maximum, part, width)
    _mend_nans(flat.reshape(-1, bin_rows, width), low, high)
    return low, high


def _halved(take: np.ufunc, part: Array, width: int) -> Array:
    """Fold by halves: neighbours in memory are compared, many at a time."""
    length = part.shape[1]
    while length > width:
        length //= 2
        part = take(part[:, :length], part[:, length : 2 * length])
    return part


def _mend_nans(binned: Array, low: Array, high: Array) -> None:
    """Fold bins with a NaN again, without it."""
    if low.dtype.kind != "f":
        return
    bad = np.flatnonzero(np.isnan(low).any(axis=1))
    if len(bad):
        low[bad] = np.fmin.reduce(binned[bad], axis=1)
        high[bad] = np.fmax.reduce(binned[bad], axis=1)


def fold_groups(low: Array, high: Array, starts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Fold rows into groups, each of which begins at one of `starts` and ends at the next."""
    if low.dtype.kind == "f":
        return np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)
    return np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
