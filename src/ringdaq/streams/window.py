"""Records that follow each other, as one piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import ringdaq_core as core

from ringdaq.errors import CorruptRecordError
from ringdaq.streams.layout import Layout, pyarrow
from ringdaq.streams.record import Array, Record

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Window:
    """Records of one generation without a gap, old to new.

    It can be indexed and walked like a list, but is none to `isinstance`: polars and its like take
    a sequence apart before they ask it for Arrow.
    """

    def __init__(self, layout: Layout, records: Sequence[Record]) -> None:
        self._layout = layout
        self._records = records

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Window: ...
    def __getitem__(self, index: int | slice) -> Record | Window:
        if isinstance(index, slice):
            return Window(self._layout, self._records[index])
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __repr__(self) -> str:
        return f"<Window of {self._layout.spec.name!r}: {len(self)} records, {self.rows} rows>"

    @property
    def rows(self) -> int:
        """Rows in all records."""
        if not self._records:
            return 0
        first, last = self._records[0], self._records[-1]
        return last.first_row + last.rows - first.first_row

    def times(self) -> NDArray[np.int64]:
        """Each row's time in ns since the epoch."""
        parts = [record.times() for record in self._records]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def to_numpy(self) -> dict[str, Array]:
        """The columns of all records, joined; empty without a record."""
        parts = [record.columns() for record in self._records]
        if not parts:
            return {}
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def to_arrow(self) -> pa.Table:
        """The records as a pyarrow table, one chunk each; numbers are not copied."""
        batches = [record.to_arrow() for record in self._records]
        return pyarrow().Table.from_batches(batches, schema=self._layout.arrow_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        try:
            return self._layout.schema.export_stream([record.parts for record in self._records])
        except core.CorruptError as error:
            name = self._layout.spec.name
            raise CorruptRecordError(f"stream {name!r}: {error}", stream=name) from None

    def __arrow_c_schema__(self) -> object:
        return self._layout.schema.export_schema()
