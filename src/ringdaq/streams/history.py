"""What a stream held: rows of one source between two times, exact or folded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ringdaq.errors import OverrunError, StreamError, UnknownStreamError
from ringdaq.history import outward
from ringdaq.model import StreamSpec
from ringdaq.streams.directory import RingDirectory
from ringdaq.streams.history_fold import fold_groups
from ringdaq.streams.history_pyramid import BASE_ROWS, Fold, Level, Pyramid, as_foldable
from ringdaq.streams.history_source import (
    Hole,
    Piece,
    RingSource,
    RowSource,
    columns_of,
    foldable,
    holes_between,
)
from ringdaq.streams.reader import StreamReader
from ringdaq.streams.record import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRIES = 8
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
"""No time lies before or after them."""
_Found = TypeVar("_Found")
_Identity = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows between two times lie."""

    first_row: int
    end_row: int
    first_nanos: int
    last_nanos: int
    oldest: bool
    """Whether no row before the first one is left."""


@dataclass(slots=True)
class Rows:
    """Rows as they are: their times, and each column as [rows, width]."""

    times: NDArray[np.int64]
    columns: dict[str, Array]
    missing: dict[str, Array]
    """By column: True where its value is missing; only columns that have missing values."""
    holes: list[Hole]
    first_row: int = 0
    """Where they begin: later than asked for, if the writer overwrote rows meanwhile."""
    alike: int = 1
    """How many rows, from the first one on, have its time."""


class SourceHistory:
    """One ring, or one file, to look back at; any thread may ask."""

    def __init__(self, source: RowSource) -> None:
        self.source = source
        self._pyramid = Pyramid(source)
        self._lock = threading.Lock()

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""
        return self.source.spec

    def between(self, since_nanos: int, until_nanos: int) -> tuple[int, int]:
        """The rows from one time up to and including another: the first, one after the last."""
        first, end = self.source.held()
        since, until = (min(max(nanos, _FIRST), _LAST) for nanos in (since_nanos, until_nanos))
        start = max(first, self.source.find(since))
        stop = end if until == _LAST else min(end, self.source.find(until + 1))
        return start, max(start, stop)

    def place(self, since_nanos: int, until_nanos: int) -> Place | None:
        """Where the rows from one time up to and including another lie; `None` if none are left."""
        for attempt in range(_TRIES):
            with suppress(OverrunError):
                return self._place(since_nanos, until_nanos, attempt)
        raise self._too_fast()

    def _place(self, since_nanos: int, until_nanos: int, attempt: int) -> Place | None:
        _, there = self.source.held()
        start, end = self.between(since_nanos, until_nanos)
        first = _further(start, end, attempt)
        if first >= end:
            if self.source.held()[0] > there:  # all of it was overwritten meanwhile
                raise self._gone(there)
            return None
        times = self.time_of(first), self.time_of(end - 1)
        return Place(first, end, *times, first > start or start <= self.source.held()[0])

    def time_of(self, row: int) -> int:
        """A row's time, in ns; raises `OverrunError` if it is gone."""
        for piece in self.source.pieces(row, row + 1, []):
            return int(piece.times[0])
        raise self._gone(row)

    def fold(self, first_row: int, end_row: int, bin_rows: int) -> tuple[Fold, list[Hole]]:
        """Rows in bins of so many, each numbered from row 0 of the source on.

        The first and the last bin hold only rows that were asked for. Rows that the writer
        overwrites meanwhile are left out: then the first bin begins later.
        """
        with self._lock:
            return self._while_held(
                first_row, end_row, lambda first: self._fold(first, end_row, bin_rows)
            )

    def rows(self, first_row: int, end_row: int) -> Rows:
        """Rows as they are; those that the writer overwrites meanwhile are left out."""
        return self._while_held(first_row, end_row, lambda first: self._rows(first, end_row))

    def _while_held(self, first_row: int, end_row: int, read: Callable[[int], _Found]) -> _Found:
        """Read from the first row on that is left all the while."""
        first = first_row
        for attempt in range(1, _TRIES + 1):
            try:
                return read(first)
            except OverrunError:
                left = min(end_row, max(first, self.source.held()[0]))
                first = _further(left, end_row, attempt)
        raise self._too_fast()

    def _rows(self, first: int, end: int) -> Rows:
        names = columns_of(self.spec)
        rows = _joined(names, list(self.source.pieces(first, end, names)), self.spec)
        rows.first_row = first
        rows.alike = int(np.searchsorted(rows.times, rows.times[:1], side="right").sum())
        return rows

    def _alike(self, row: int) -> int:
        """How many rows, from one on, have its time; samples have times of their own."""
        if self.spec.sample_rate is not None or self.source.held()[0] == 0:
            return 1
        found = self.between(self.time_of(row), self.time_of(row))[1] - row
        if self.source.held()[0] > row:
            raise self._gone(row)
        return found

    def _gone(self, row: int) -> OverrunError:
        name = self.spec.name
        return OverrunError(
            f"stream {name!r}: row {row} was wanted, and is no longer held; ask for later rows",
            stream=name,
        )

    def _too_fast(self) -> StreamError:
        name = self.spec.name
        return StreamError(
            f"the ring of stream {name!r} is overwritten faster than it can be read; "
            "ask for a later time, or make the ring larger",
            stream=name,
        )

    def _fold(self, first: int, end: int, bin_rows: int) -> tuple[Fold, list[Hole]]:
        if first >= end:
            return _nothing(self.spec), []
        alike = self._alike(first)
        levels: list[Level] = []
        if bin_rows >= BASE_ROWS and end - first >= BASE_ROWS:
            self._pyramid.update()
            levels = [level for level in self._pyramid.levels if bin_rows % level.bin_rows == 0]
        holes = {*self._pyramid.holes} if levels else set()
        parts = list(self._parts(first, end, bin_rows, levels, holes))
        if not parts:
            return _nothing(self.spec), []
        whole = _concatenated(parts)
        ends, starts = whole.last_nanos[:-1], whole.first_nanos[1:]
        holes |= {*holes_between(self.spec, ends, starts)}
        inside = [
            hole
            for hole in sorted(holes, key=lambda hole: hole.first_nanos)
            if hole.first_nanos >= whole.first_nanos[0] and hole.last_nanos <= whole.last_nanos[-1]
        ]
        grouped = _grouped(whole, bin_rows)
        grouped.alike = alike
        return grouped, inside

    def _parts(
        self, first: int, end: int, bin_rows: int, levels: list[Level], holes: set[Hole]
    ) -> Iterator[Fold]:
        """The rows, as far as possible from the coarsest level, at the edges from finer ones."""
        if first >= end:
            return
        if not levels:
            yield from self._direct(first, end, bin_rows, holes)
            return
        level, finer = levels[-1], levels[:-1]
        unit = level.bin_rows
        start, stop = max(-(-first // unit), level.first_bin), min(end // unit, level.end_bin)
        if start >= stop:
            yield from self._parts(first, end, bin_rows, finer, holes)
            return
        yield from self._parts(first, start * unit, bin_rows, finer, holes)
        yield level.part(start, stop)
        yield from self._parts(stop * unit, end, bin_rows, finer, holes)

    def _direct(self, first: int, end: int, bin_rows: int, holes: set[Hole]) -> Iterator[Fold]:
        for piece in self.source.pieces(first, end, foldable(self.spec)):
            holes |= {*piece.holes}
            columns = [as_foldable(c, m) for c, m in zip(piece.columns, piece.missing, strict=True)]
            numbers = np.arange(piece.first_row, piece.first_row + piece.rows)
            starts = _starts(numbers, bin_rows)
            rows = np.diff(starts, append=piece.rows)
            folds = [fold_groups(*ends, starts) for ends in columns]
            yield Fold(
                numbers[starts],
                rows,
                piece.times_at(starts),
                piece.times_at(starts + rows - 1),
                [low for low, _ in folds],
                [high for _, high in folds],
            )


def _further(first_row: int, end_row: int, attempt: int) -> int:
    """Where to begin after so many tries that failed, away from where the writer overwrites.

    The first ones take the oldest row left; a quick writer overwrites that while it is looked for.
    """
    if attempt < _TRIES // 2:
        return first_row
    return first_row + ((end_row - first_row) >> max(1, _TRIES - attempt))


def _starts(first_rows: NDArray[np.int64], bin_rows: int) -> NDArray[np.int64]:
    """Where a new bin begins."""
    bins = first_rows // bin_rows
    return np.flatnonzero(np.diff(bins, prepend=bins[:1] - 1))


def _concatenated(parts: list[Fold]) -> Fold:
    width = len(parts[0].low)
    return Fold(
        np.concatenate([part.first_row for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.first_nanos for part in parts]),
        np.concatenate([part.last_nanos for part in parts]),
        [np.concatenate([part.low[n] for part in parts]) for n in range(width)],
        [np.concatenate([part.high[n] for part in parts]) for n in range(width)],
    )


def _grouped(fold: Fold, bin_rows: int) -> Fold:
    starts = _starts(fold.first_row, bin_rows)
    last = np.append(starts[1:], len(fold)) - 1
    pairs = zip(fold.low, fold.high, strict=True)
    folds = [_with_gaps(*fold_groups(*pair, starts)) for pair in pairs]
    return Fold(
        fold.first_row[starts],
        np.add.reduceat(fold.rows, starts),
        fold.first_nanos[starts],
        fold.last_nanos[last],
        [low for low, _ in folds],
        [high for _, high in folds],
    )


def _with_gaps(low: Array, high: Array) -> tuple[Array, Array]:
    """NaN in bins without a value, where least and greatest are integers."""
    gone = low > high
    if low.dtype.kind == "f" or not gone.any():
        return low, high
    floats = outward(low, -1), outward(high, 1)
    for end in floats:
        end[gone] = np.nan
    return floats


def _nothing(spec: StreamSpec) -> Fold:
    none = np.empty(0, np.int64)
    width = len(spec.channels) if spec.kind == "samples" else 1
    columns = [np.empty((0, width)) for _ in foldable(spec)]
    return Fold(none, none, none, none, columns, columns)


def _joined(names: list[str], pieces: list[Piece], spec: StreamSpec) -> Rows:
    if not pieces:
        return Rows(np.empty(0, np.int64), {}, {}, [])
    times = [piece.times for piece in pieces]
    holes = [hole for piece in pieces for hole in piece.holes]
    holes += holes_between(spec, [t[-1] for t in times[:-1]], [t[0] for t in times[1:]])
    return Rows(
        np.concatenate(times),
        {name: np.concatenate([p.columns[n] for p in pieces]) for n, name in enumerate(names)},
        {
            name: np.concatenate([_mask(p.missing[n], p.rows) for p in pieces])
            for n, name in enumerate(names)
            if any(p.missing[n] is not None for p in pieces)
        },
        sorted(holes, key=lambda hole: hole.first_nanos),
    )


def _mask(missing: Array | None, rows: int) -> Array:
    return np.zeros(rows, np.bool_) if missing is None else missing


class RingHistories:
    """The rings of one directory to look back at, kept open with what was folded of them."""

    def __init__(self, directory: Path) -> None:
        self._rings = RingDirectory(directory)
        self._open: dict[Path, tuple[_Identity, SourceHistory]] = {}
        self._lock = threading.Lock()

    def of(self, stream: str) -> list[SourceHistory]:
        """A stream's generations that are left, old to new; none if there is no such stream."""
        with self._lock:
            self._forget_removed()
            paths = self._rings.generations(stream)
            return [found for path in paths if (found := self._history(path)) is not None]

    def _forget_removed(self) -> None:
        """Let go of all rings that are gone: their memory is not free before."""
        for path, (identity, _) in list(self._open.items()):
            if _identity(path) != identity:
                del self._open[path]

    def _history(self, path: Path) -> SourceHistory | None:
        if path not in self._open:
            identity = _identity(path)
            try:
                found = SourceHistory(RingSource(StreamReader.open(path)))
            except UnknownStreamError:  # removed a moment ago
                return None
            self._open[path] = identity, found
        return self._open[path][1]


def _identity(path: Path) -> _Identity:
    """Which file lies there; it cannot come again while the file is open."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
