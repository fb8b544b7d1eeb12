"""Records that follow each other, as one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import ringdaq_core as core

from ringdaq.errors import CorruptRecordError
from ringdaq.streams import dataframes
from ringdaq.streams.layout import Layout, pyarrow
from ringdaq.streams.record import Array, Record

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray


class Gap(NamedTuple):
    """What a window lacks between two generations, as it was overwritten."""

    generation: str
    """The later one, whose first records they were."""
    lost_records: int
    lost_rows: int


class Window:
    """Records old to new; within a generation none is left out.

    It can be indexed and walked like a list, but is none to `isinstance`: polars and its like take
    a sequence apart before they ask it for Arrow.
    """

    def __init__(self, layout: Layout, parts: Sequence[Sequence[Record]]) -> None:
        self._layout = layout
        # Each of one generation, its records following each other.
        self._parts = tuple(part for part in parts if len(part))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Window: ...
    def __getitem__(self, index: int | slice) -> Record | Window:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self._at(places)
        if places.step != 1:
            return Window(self._layout, [[self._at(place)] for place in places])
        return Window(self._layout, list(self._cut(places.start, places.stop)))

    def _at(self, place: int) -> Record:
        for part in self._parts:
            if place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError(place)

    def _cut(self, begin: int, end: int) -> Iterator[Sequence[Record]]:
        for part in self._parts:
            yield part[max(begin, 0) : max(end, 0)]
            begin, end = begin - len(part), end - len(part)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(self._parts)

    def __repr__(self) -> str:
        return f"<Window of {self._layout.spec.name!r}: {len(self)} records, {self.rows} rows>"

    @property
    def rows(self) -> int:
        """Rows in all records."""
        ends = ((part[0], part[-1]) for part in self._parts)
        return sum(last.first_row + last.rows - first.first_row for first, last in ends)

    @property
    def generations(self) -> tuple[str, ...]:
        """Ids of the rings that the records lie in, old to new."""
        return tuple(dict.fromkeys(part[0].generation for part in self._parts))

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What was overwritten between one generation and the next."""
        pairs = zip(self._parts, self._parts[1:], strict=False)
        firsts = (b[0] for a, b in pairs if a[0].generation != b[0].generation)
        return tuple(Gap(r.generation, r.sequence, r.first_row) for r in firsts if r.sequence)

    def times(self) -> NDArray[np.int64]:
        """Each row's time in ns since the epoch."""
        parts = [record.times() for record in self]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def columns(self) -> dict[str, Array]:
        """The columns of all records, joined; see `Record.columns`. Empty without a record."""
        parts = [record.columns() for record in self]
        if not parts:
            return {}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def to_numpy(self) -> dict[str, Array]:
        """The same as `columns`."""
        return self.columns()

    def to_arrow(self) -> pa.Table:
        """The records as a pyarrow table, one chunk each; numbers are not copied."""
        batches = [record.to_arrow() for record in self]
        return pyarrow().Table.from_batches(batches, schema=self._layout.arrow_schema)

    def to_arrow_reader(self) -> pa.RecordBatchReader:
        """The records one after the other, each looked up when it is asked for."""
        batches = (record.to_arrow() for record in self)
        return pyarrow().RecordBatchReader.from_batches(self._layout.arrow_schema, batches)

    def to_pandas(self) -> pd.DataFrame:
        """A row a row, by its time in UTC; samples have a column a channel."""
        return dataframes.to_pandas(self._layout, self)

    def to_polars(self) -> pl.DataFrame:
        """A column `time` in UTC and the channels; samples have a column a channel."""
        return dataframes.to_polars(self._layout, self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        try:
            return self._layout.schema.export_stream([record.parts for record in self])
        except core.CorruptError as error:
            name = self._layout.spec.name
            raise CorruptRecordError(f"stream {name!r}: {error}", stream=name) from None

    def __arrow_c_schema__(self) -> object:
        return self._layout.schema.export_schema()
