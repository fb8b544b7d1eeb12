"""Least and greatest value of many rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import ringdaq_core as core

from ringdaq.streams.record import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fold_even(values: Array, bin_rows: int) -> tuple[Array, Array]:
    """Least and greatest of every `bin_rows` rows of [rows, width]: two arrays [bins, width].

    `bin_rows` divides the rows. NaN counts as missing; a bin without a value is NaN.
    """
    width = values.shape[1]
    whole = np.require(values, requirements=("C", "A"))
    low, high = core.fold_rows(whole.data, whole.dtype.name, width, bin_rows)
    return (
        np.frombuffer(low, whole.dtype).reshape(-1, width),
        np.frombuffer(high, whole.dtype).reshape(-1, width),
    )


def fold_groups(low: Array, high: Array, starts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Fold rows into groups, each of which begins at one of `starts` and ends at the next."""
    if low.dtype.kind == "f":
        return np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)
    return np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
