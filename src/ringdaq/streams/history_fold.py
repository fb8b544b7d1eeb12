"""Least and greatest value of many rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import ringdaq_core as core

from ringdaq.streams.record import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray


Ends = tuple[Array, Array]
"""The least and the greatest value of each entry; one array twice, where both are the same."""


def cut(ends: Ends, start: int, stop: int) -> Ends:
    """Some of the entries."""
    low = ends[0][start:stop]
    return low, low if ends[0] is ends[1] else ends[1][start:stop]


def copied(ends: Ends) -> Ends:
    """The same, apart from the arrays they were taken of."""
    low = ends[0].copy()
    return low, low if ends[0] is ends[1] else ends[1].copy()


def joined(before: Ends, after: Ends) -> Ends:
    """The entries of both, in a copy."""
    low = np.concatenate([before[0], after[0]])
    same = before[0] is before[1] and after[0] is after[1]
    return low, low if same else np.concatenate([before[1], after[1]])


def fold_ends(ends: Ends, bin_rows: int) -> Ends:
    """The same as `fold_even`, of entries whose least and greatest may differ."""
    low, high = fold_even(ends[0], bin_rows)
    return low, high if ends[0] is ends[1] else fold_even(ends[1], bin_rows)[1]


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
