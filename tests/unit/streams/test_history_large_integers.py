"""Least and greatest of integers that no float holds: as they are, or never inside of the truth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ringdaq.history import History, HistoryPart, outward
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.history import SourceHistory
from ringdaq.streams.history_source import RingSource

START = 1_700_000_000_000_000_000
ODD = 2**53 + 1
ROWS = 3000


def values_of(dtype):
    """Large odd numbers, the type's ends among them."""
    values = np.random.default_rng(1).integers(ODD, 2**62, ROWS).astype(dtype) | np.array(1, dtype)
    values[100], values[2100] = np.iinfo(dtype).min, np.iinfo(dtype).max
    values[1500] = ODD
    return values


def look(writer):
    return SourceHistory(RingSource(StreamReader.open(writer.path)))


def bins_of(fold):
    starts = np.cumsum(fold.rows) - fold.rows
    return zip(fold.low[0][:, 0], fold.high[0][:, 0], starts, starts + fold.rows, strict=True)


@pytest.mark.parametrize("bin_rows", [7, 64, 1024])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("kind", ["rows", "samples"])
def test_large_integers_keep_their_extremes(ring_directory, kind, dtype, bin_rows):
    rate = Fraction(1000) if kind == "samples" else None
    spec = StreamSpec("count", kind, (Channel("n", dtype),), rate)
    values = values_of(dtype)
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 21) as writer:
        for first in range(0, ROWS, 100):
            if kind == "samples":
                block = values[first : first + 100].reshape(-1, 1)
                writer.write_block(START + first * 1_000_000, block)
            else:
                times = START + np.arange(first, first + 100)
                writer.write_rows(times, {"n": values[first : first + 100]})
        fold, _ = look(writer).fold(0, ROWS, bin_rows)
    assert fold.low[0].dtype == dtype
    for low, high, start, stop in bins_of(fold):
        assert (low, high) == (values[start:stop].min(), values[start:stop].max())


@pytest.mark.parametrize("bin_rows", [1, 7, 64, 1024])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_where_large_integers_are_missing_the_extremes_enclose_the_others(
    ring_directory, dtype, bin_rows
):
    spec = StreamSpec("count", "rows", (Channel("n", dtype),))
    values = [
        None if n % 5 == 0 or 256 <= n < 400 else int(v) for n, v in enumerate(values_of(dtype))
    ]
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 21) as writer:
        history = look(writer)
        for n, value in enumerate(values):
            writer.append(START + n, value)
            if n % 333 == 0:  # rows that wait for their bin
                history.fold(0, n + 1, 64)
        fold, _ = history.fold(0, ROWS, bin_rows)
    for low, high, start, stop in bins_of(fold):
        there = [value for value in values[start:stop] if value is not None]
        if there:
            assert 0 <= min(there) - int(low) <= 2048
            assert 0 <= int(high) - max(there) <= 2048
        else:
            assert np.isnan(low)
            assert np.isnan(high)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_floats_enclose_integers(dtype):
    ends = np.iinfo(dtype)
    values = [ends.min, 0, 1, ODD - 2, ODD - 1, ODD, ODD + 1, ODD + 2, ends.max - 1, ends.max]
    low, high = (outward(np.array(values, dtype), side) for side in (-1, 1))
    for value, below, above in zip(values, low, high, strict=True):
        assert int(below) <= value <= int(above)
        assert value in (int(below), int(above)) or np.nextafter(below, np.inf) == above


def test_parts_of_integers_and_of_floats_together_enclose_both():
    def part(values):
        times = np.arange(len(values))
        ends = {"n": values}, {"n": values}
        return HistoryPart("ring", True, times, times, np.ones(len(values), np.int64), *ends)

    spec = StreamSpec("count", "rows", (Channel("n", "int64"),))
    whole, holed = part(np.array([ODD], np.int64)), part(np.array([np.nan]))
    assert History(spec, [whole], []).low("n").tolist() == [ODD]
    found = History(spec, [whole, holed], [])
    assert int(found.low("n")[0]) == ODD - 1
    assert int(found.high("n")[0]) == ODD + 1
