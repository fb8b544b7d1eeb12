"""Rows of a ring, or of something like it, by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import OverrunError
from ringdaq.model import NUMERIC_DTYPES, SAMPLES, TIME, StreamSpec
from ringdaq.streams.reader import StreamReader
from ringdaq.streams.record import Array, sample_times
from ringdaq.streams.statistics import RingStatistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE_BYTES = 2 << 20
# Stamps of blocks may waver by as much without a sample being lost.
_WAVER_NANOS = 1_000_000


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch of time for which a stream has no rows, although it should."""

    first_nanos: int
    """Time of the last row before it."""
    last_nanos: int
    """Time of the first row after it."""
    rows: int | None
    """How many rows are missing, where that is known."""
    reason: str


@dataclass(slots=True)
class Piece:
    """Rows that follow each other."""

    first_row: int
    rows: int
    times_at: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    """The times, in ns, of rows by their place in the piece."""
    columns: list[Array]
    """One for each column asked for, [rows, width]."""
    missing: list[Array | None]
    """For each column: True where its value is missing."""
    holes: list[Hole] = field(default_factory=list)

    @property
    def times(self) -> NDArray[np.int64]:
        """Each row's time, in ns."""
        return self.times_at(np.arange(self.rows))

    def cut(self, first_row: int, end_row: int) -> Piece:
        """The rows of this piece that lie in a range."""
        start = max(0, first_row - self.first_row)
        stop = max(start, min(self.rows, end_row - self.first_row))
        if start == 0 and stop == self.rows:
            return self
        whole, place = self.times_at, np.int64(start)
        return Piece(
            self.first_row + start,
            stop - start,
            lambda rows: whole(rows + place),
            [column[start:stop] for column in self.columns],
            [None if one is None else one[start:stop] for one in self.missing],
            self.holes,
        )


class RowSource(Protocol):
    """Where rows of one stream can be read by number."""

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""

    def held(self) -> tuple[int, int]:
        """The rows that are there now: the first, and one after the last."""

    def find(self, time_nanos: int) -> int:
        """The first row at that time or later; one after the last if there is none.

        Raises `OverrunError` if it is overwritten while it is looked for.
        """

    def pieces(self, first_row: int, end_row: int, columns: list[str]) -> Iterator[Piece]:
        """Rows in order; raises `OverrunError` if the first ones are gone meanwhile."""


def foldable(spec: StreamSpec) -> list[str]:
    """The columns that have a least and a greatest value: single numbers and samples."""
    if spec.kind == "samples":
        return [SAMPLES]
    return [c.name for c in spec.channels if not c.shape and c.dtype in (*NUMERIC_DTYPES, "bool")]


def columns_of(spec: StreamSpec) -> list[str]:
    """All columns but the time."""
    return [SAMPLES] if spec.kind == "samples" else [c.name for c in spec.channels]


def holes_between(spec: StreamSpec, ends: Any, starts: Any) -> list[Hole]:
    """Where samples stop for a while between one block's last time and the next one's first.

    Rows that come at any moment have no holes.
    """
    if spec.sample_rate is None:
        return []
    period = float(NANOS_PER_SEC / spec.sample_rate)
    late = np.asarray(starts, np.int64) - np.asarray(ends, np.int64) - period
    places = np.flatnonzero(late >= max(period * 0.9, _WAVER_NANOS))
    return [
        Hole(int(ends[i]), int(starts[i]), round(float(late[i]) / period), "not produced")
        for i in places
    ]


class RingSource:
    """One generation of a stream."""

    def __init__(self, reader: StreamReader) -> None:
        self.reader = reader
        columns = reader.layout.columns
        self._places = {column[0]: place for place, column in enumerate(columns)}
        self._types = {column[0]: column[1] for column in columns}

    @property
    def spec(self) -> StreamSpec:
        return self.reader.spec

    def held(self) -> tuple[int, int]:
        now = self.reader.statistics()
        return now.rows - now.held_rows, now.rows

    def find(self, time_nanos: int) -> int:
        now = self.reader.statistics()
        if now.first_nanos is None or time_nanos <= now.first_nanos:
            return now.rows - now.held_rows
        sequence = self.reader.find(time_nanos)
        for piece in self._read(sequence, min(sequence + 1, self.reader.next_sequence), []):
            return piece.first_row + int(np.searchsorted(piece.times, time_nanos, side="left"))
        return self.reader.statistics().rows

    def pieces(self, first_row: int, end_row: int, columns: list[str]) -> Iterator[Piece]:
        if first_row >= end_row:
            return
        now = self.reader.statistics()
        sequence = self._sequence_of(first_row, now)
        for piece in self._read(sequence, now.next_sequence, columns):
            if piece.first_row >= end_row:
                return
            cut = piece.cut(first_row, end_row)
            if cut.rows:
                yield cut

    def _sequence_of(self, row: int, now: RingStatistics) -> int:
        """The record that holds a row, by halving: frames count the rows before them."""
        self._check_held(row, now)
        low, high = now.oldest_sequence, now.next_sequence
        while low + 1 < high:
            middle = (low + high) // 2
            if self.reader.frame(middle)[3] <= row:
                low = middle
            else:
                high = middle
        return low

    def _check_held(self, row: int, now: RingStatistics) -> None:
        first = now.rows - now.held_rows
        if row < first:
            raise OverrunError(
                f"stream {self.spec.name!r}: row {row} was wanted, and the oldest one left is "
                f"{first}; ask for later rows",
                stream=self.spec.name,
                lost_rows=first - row,
                resume_at=now.oldest_sequence,
            )

    def _read(self, sequence: int, following: int, columns: list[str]) -> Iterator[Piece]:
        if any(self._types[name] in ("bool", "string") for name in columns):
            return self._read_records(sequence, following, columns)
        if self.spec.kind == "samples":
            return self._read_samples(sequence, following, columns)
        return self._read_rows(sequence, following, columns)

    def _read_samples(self, sequence: int, following: int, columns: list[str]) -> Iterator[Piece]:
        wanted = [self._places[name] for name in columns]
        while sequence < following:
            frames, found = self.reader.gather(sequence, following, wanted, PIECE_BYTES)
            sequence += len(frames)
            yield Piece(
                int(frames[0, 3]),
                int(frames[:, 0].sum()),
                _sample_clock(self.spec, frames),
                [self._shaped(n, v) for n, (v, _) in zip(columns, found, strict=True)],
                [None] * len(columns),
                holes_between(self.spec, frames[:-1, 2], frames[1:, 1]),
            )

    def _read_rows(self, sequence: int, following: int, columns: list[str]) -> Iterator[Piece]:
        wanted = [self._places[name] for name in (TIME, *columns)]
        while sequence < following:
            frames, found = self.reader.gather(sequence, following, wanted, PIECE_BYTES)
            sequence += len(frames)
            times = found.pop(0)[0].view(np.int64)
            yield Piece(
                int(frames[0, 3]),
                len(times),
                times.__getitem__,
                [self._shaped(n, v) for n, (v, _) in zip(columns, found, strict=True)],
                [missing for _, missing in found],
            )

    def _shaped(self, name: str, values: NDArray[np.uint8]) -> Array:
        shape = self.reader.layout.shapes[name]
        width = int(np.prod(shape, dtype=np.int64)) if shape else 1
        return values.view(self._types[name]).reshape(-1, width)

    def _read_records(self, sequence: int, following: int, columns: list[str]) -> Iterator[Piece]:
        """Texts and truth values are taken apart record by record."""
        for number in range(sequence, following):
            record = self.reader.read(number)
            values, masks = record.columns(), record.masks()
            yield Piece(
                record.first_row,
                record.rows,
                record.times().__getitem__,
                [values[name].reshape(record.rows, -1) for name in columns],
                [masks.get(name) for name in columns],
            )


def _sample_clock(
    spec: StreamSpec, frames: NDArray[np.int64]
) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Times of rows of records that follow each other, exact from first times and rate."""
    begins = np.cumsum(frames[:, 0]) - frames[:, 0]
    steps = sample_times(spec, 0, int(frames[:, 0].max()))

    def times_at(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        record = np.searchsorted(begins, rows, side="right") - 1
        times: NDArray[np.int64] = frames[record, 1] + steps[rows - begins[record]]
        return times

    return times_at
