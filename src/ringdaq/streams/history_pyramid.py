"""Rows folded in advance: least and greatest of every 64, 1 024 … rows, made as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ringdaq.errors import OverrunError
from ringdaq.streams.history_fold import Ends, copied, cut, fold_ends, joined
from ringdaq.streams.history_source import Hole, Piece, RowSource, foldable, holes_between
from ringdaq.streams.record import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASE_ROWS = 64
FACTOR = 16
LEVELS = 4
_FIRST_BINS = 1024
_EXACT = ("int64", "uint64")
"""Types of numbers that floats cannot hold."""


@dataclass(slots=True)
class Fold:
    """Rows folded into bins: for each bin its rows, its times, and each column's extremes."""

    first_row: NDArray[np.int64]
    rows: NDArray[np.int64]
    first_nanos: NDArray[np.int64]
    last_nanos: NDArray[np.int64]
    low: list[Array]
    """One for each column, [bins, width]."""
    high: list[Array]
    alike: int = 1
    """How many rows, from the first one on, have its time."""

    def __len__(self) -> int:
        return len(self.first_row)


@dataclass(slots=True)
class _Rest:
    """Rows after the last complete bin."""

    first_row: int
    times: NDArray[np.int64]
    columns: list[Ends]


class Level:
    """Bins of equally many rows that grow at the end and are let go at the beginning."""

    def __init__(self, bin_rows: int, like: list[Array]) -> None:
        self.bin_rows = bin_rows
        self.first_bin = 0
        """Number of the first bin held; bin n holds the rows from n × bin_rows on."""
        self._count = 0
        self._times = np.empty((_FIRST_BINS, 2), np.int64)
        self._low = [np.empty((_FIRST_BINS, one.shape[1]), one.dtype) for one in like]
        self._high = [np.empty_like(one) for one in self._low]

    @property
    def end_bin(self) -> int:
        """One after the last bin held."""
        return self.first_bin + self._count

    def begin(self, first_bin: int) -> None:
        """Start where nothing is held yet."""
        self.first_bin, self._count = first_bin, 0

    def add(self, times: NDArray[np.int64], low: list[Array], high: list[Array]) -> None:
        """Put bins at the end; times are those of the first and the last row of each."""
        start, stop = self._count, self._count + len(times)
        self._make_room(stop)
        self._times[start:stop] = times
        for held, new in zip((*self._low, *self._high), (*low, *high), strict=True):
            held[start:stop] = new
        self._count = stop

    def _make_room(self, count: int) -> None:
        room = len(self._times)
        while room < count:
            room *= 2
        if room > len(self._times):
            self._times = _grown(self._times, room)
            self._low = [_grown(one, room) for one in self._low]
            self._high = [_grown(one, room) for one in self._high]

    def forget(self, before_row: int) -> None:
        """Let go of bins whose rows are all gone, once they are half of what is held."""
        gone = min(max(before_row // self.bin_rows - self.first_bin, 0), self._count)
        if gone * 2 > self._count:
            rest = self._count - gone
            for held in (self._times, *self._low, *self._high):
                held[:rest] = held[gone : self._count].copy()
            self.first_bin += gone
            self._count = rest

    def part(self, first_bin: int, end_bin: int) -> Fold:
        """Bins by number; they must be held."""
        place = slice(first_bin - self.first_bin, end_bin - self.first_bin)
        numbers = np.arange(first_bin, end_bin, dtype=np.int64)
        return Fold(
            numbers * self.bin_rows,
            np.full(len(numbers), self.bin_rows, np.int64),
            self._times[place, 0],
            self._times[place, 1],
            [one[place] for one in self._low],
            [one[place] for one in self._high],
        )


def _grown(held: Array, room: int) -> Array:
    larger = np.empty((room, *held.shape[1:]), held.dtype)
    larger[: len(held)] = held
    return larger


class Pyramid:
    """The folds of one source, kept up to its newest complete bins by `update`."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self.names = foldable(source.spec)
        self.levels: list[Level] = []
        self.holes: list[Hole] = []
        self._waiting: _Rest | None = None
        self._next_row = 0
        self._last_nanos: int | None = None

    def update(self) -> None:
        """Fold what is new."""
        if not self.names:
            return
        first, end = self._source.held()
        if not self.levels or first > self._next_row:
            self._restart(first)
        while self._next_row < end:
            try:
                for piece in self._source.pieces(self._next_row, end, self.names):
                    self._take(piece)
                break
            except OverrunError:
                first, _ = self._source.held()
                self._restart(first)
        for below, level in pairwise(self.levels):
            _raise_level(below, level)
        for level in self.levels:
            level.forget(first)
        self.holes = [hole for hole in self.holes if hole.last_nanos >= self._oldest_nanos()]

    def _oldest_nanos(self) -> int:
        level = self.levels[0] if self.levels else None
        if level is None or level.end_bin == level.first_bin:
            return 0
        return int(level.part(level.first_bin, level.first_bin + 1).first_nanos[0])

    def _restart(self, row: int) -> None:
        """Begin anew with the first whole bin from a row on."""
        self._next_row = -(-row // BASE_ROWS) * BASE_ROWS
        self._waiting, self._last_nanos, self.holes = None, None, []
        self._begin_levels(self._next_row)

    def _begin_levels(self, row: int) -> None:
        for level in self.levels:
            level.begin(-(-row // level.bin_rows))

    def _take(self, piece: Piece) -> None:
        if piece.first_row != self._next_row:
            self._restart(piece.first_row)
            piece = piece.cut(self._next_row, piece.first_row + piece.rows)
            if not piece.rows:
                return
        self._note_holes(piece)
        columns = [as_foldable(c, m) for c, m in zip(piece.columns, piece.missing, strict=True)]
        if not self.levels:
            like = [low for low, _ in columns]
            self.levels = [Level(BASE_ROWS * FACTOR**n, like) for n in range(LEVELS)]
            self._begin_levels(piece.first_row)
        self._next_row += piece.rows
        self._fold(piece, columns)

    def _note_holes(self, piece: Piece) -> None:
        ends = piece.times_at(np.array([0, piece.rows - 1]))
        if self._last_nanos is not None:
            self.holes += holes_between(self._source.spec, [self._last_nanos], ends[:1])
        self.holes += piece.holes
        self._last_nanos = int(ends[1])

    def _fold(self, piece: Piece, columns: list[Ends]) -> None:
        """Fold complete bins; what is left over at the end waits, with its times."""
        done = self._complete(piece, columns) if self._waiting is not None else 0
        stop = done + (piece.rows - done) // BASE_ROWS * BASE_ROWS
        if stop > done:
            self._add_base(piece.times_at, columns, done, stop)
        if stop < piece.rows:
            rest = piece.times_at(np.arange(stop, piece.rows))
            kept = [copied(cut(ends, stop, piece.rows)) for ends in columns]
            self._waiting = _Rest(piece.first_row + stop, rest, kept)

    def _complete(self, piece: Piece, columns: list[Ends]) -> int:
        """Put rows to those that wait, and fold them if they are a bin; returns how many."""
        before = self._waiting
        assert before is not None
        count = min(BASE_ROWS - len(before.times), piece.rows)
        times = np.concatenate([before.times, piece.times_at(np.arange(count))])
        pairs = zip(before.columns, columns, strict=True)
        head = _Rest(before.first_row, times, [joined(a, cut(b, 0, count)) for a, b in pairs])
        whole = len(times) == BASE_ROWS
        self._waiting = None if whole else head
        if whole:
            self._add_base(times.__getitem__, head.columns, 0, BASE_ROWS)
        return count

    def _add_base(
        self,
        times_at: Callable[[NDArray[np.int64]], NDArray[np.int64]],
        columns: list[Ends],
        start: int,
        stop: int,
    ) -> None:
        begins = np.arange(start, stop, BASE_ROWS)
        times = np.stack([times_at(begins), times_at(begins + BASE_ROWS - 1)], axis=1)
        folded = [fold_ends(cut(one, start, stop), BASE_ROWS) for one in columns]
        self.levels[0].add(times, [low for low, _ in folded], [high for _, high in folded])


def _raise_level(below: Level, level: Level) -> None:
    """Fold what has become complete into the next level."""
    if level.end_bin * FACTOR < below.first_bin:
        level.begin(-(-below.first_bin // FACTOR))
    first, end = level.end_bin * FACTOR, below.end_bin // FACTOR * FACTOR
    if end <= first:
        return
    part = below.part(first, end)
    times = np.stack([part.first_nanos[::FACTOR], part.last_nanos[FACTOR - 1 :: FACTOR]], axis=1)
    folded = [fold_ends(ends, FACTOR) for ends in zip(part.low, part.high, strict=True)]
    level.add(times, [low for low, _ in folded], [high for _, high in folded])


def as_foldable(values: Array, missing: Array | None) -> Ends:
    """Samples as they are; single numbers as float64, NaN where missing.

    Integers of 64 bits stay such: where one is missing, the least is above the greatest.
    """
    if values.dtype.name in _EXACT:
        return _as_exact(values, missing)
    if values.shape[1] != 1 and missing is None:
        return values, values
    numbers = values.astype(np.float64)
    if missing is not None:
        numbers[missing] = np.nan
    return numbers, numbers


def _as_exact(values: Array, missing: Array | None) -> Ends:
    if missing is None:
        return values, values
    ends = np.iinfo(values.dtype)
    low, high = values.copy(), values.copy()
    low[missing], high[missing] = ends.max, ends.min
    return low, high
