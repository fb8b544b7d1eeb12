"""Two small tables of the HDF5 file, a dataset a column: the gaps, and each stream's losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ringdaq.recorder import hdf5

NAME_BYTES = 128


@dataclass(frozen=True, slots=True)
class Counters:
    """What a stream's generations add up to; `produced_rows` is `durable_rows` + `gap_rows`."""

    produced_rows: int = 0
    durable_rows: int = 0
    durable_records: int = 0
    gap_rows: int = 0
    gap_records: int = 0
    gaps: int = 0

    def to_plain(self) -> dict[str, int]:
        """As plain numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class GapRow:
    """One line of the gaps table."""

    stream: str
    generation: str
    row: int
    """The index in the stream's datasets of the first row after the gap."""
    first_sequence: int
    records: int
    rows: int
    reason: str


def build_table(entry: Any, name: str, texts: Sequence[str], numbers: Sequence[str]) -> Any:
    """An empty table; texts have a fixed length, so that a crash cannot orphan them."""
    table = hdf5.group(entry, name, "NXcollection")
    for column in texts:
        hdf5.growing(table, column, f"S{NAME_BYTES}", chunk_bytes=hdf5.TABLE_CHUNK_BYTES)
    for column in numbers:
        made = hdf5.growing(table, column, np.int64, chunk_bytes=hdf5.TABLE_CHUNK_BYTES)
        made.attrs["units"] = ""
    return table


class GapTable:
    """The gaps, in the order of the journal."""

    def __init__(self, entry: Any) -> None:
        self._table = build_table(
            entry,
            "gaps",
            ("stream", "generation", "reason"),
            ("row", "first_sequence", "records", "rows"),
        )
        self._pending: list[GapRow] = []

    def add(self, gap: GapRow) -> None:
        """Take a line; it reaches the file with the next `write`."""
        self._pending.append(gap)

    def write(self) -> None:
        """Append what was taken."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        for name, column in self._table.items():
            values = [getattr(gap, name) for gap in pending]
            hdf5.append(column, [_column(values, column.dtype)])


class LossTable:
    """One line a stream, rewritten in place."""

    def __init__(self, entry: Any) -> None:
        self._table = build_table(entry, "loss", ("stream",), tuple(Counters.__dataclass_fields__))

    def write(self, counters: Mapping[str, Counters]) -> None:
        """Replace all lines."""
        for name, column in self._table.items():
            column.resize(len(counters), axis=0)
            if counters:
                values = [s if name == "stream" else getattr(c, name) for s, c in counters.items()]
                column[:] = _column(values, column.dtype)


def _column(values: Sequence[Any], dtype: Any) -> np.ndarray[Any, Any]:
    plain = [v.encode()[:NAME_BYTES] if isinstance(v, str) else v for v in values]
    return np.array(plain, dtype=dtype)
