"""How many bytes a stream takes in a ring."""

from __future__ import annotations

import math

from ringdaq.model import StreamSpec
from ringdaq.streams.layout import Column, Layout

HEADER_BYTES = 128
ENTRY_BYTES = 32
LEAST_ENTRIES = 1024
_ALIGNMENT = 64
_TEXT_BYTES = 16
"""Of a text in a row, taken as so long."""


def _padded(count: float) -> int:
    return math.ceil(count / _ALIGNMENT) * _ALIGNMENT


def _column_bytes(column: Column, rows: int) -> int:
    """Values of one column, padded."""
    _, dtype, items, _, _ = column
    if dtype == "string":
        return _padded((rows + 1) * 4) + _padded(rows * _TEXT_BYTES)
    if dtype == "bool":
        return _padded(rows / 8)
    width = 8 if dtype == "time" else int("".join(filter(str.isdigit, dtype))) // 8
    return _padded(rows * max(items, 1) * width)


def record_bytes(spec: StreamSpec, rows: int = 1) -> int:
    """What a record of so many rows takes, all values there; texts are taken as 16 bytes long."""
    schema = Layout.from_spec(spec).schema
    more = sum(_column_bytes(c, rows) - _column_bytes(c, 1) for c in schema.columns)
    texts = sum(_padded(_TEXT_BYTES) for c in schema.columns if c[1] == "string")
    return schema.smallest_record + more + texts


def file_bytes(spec: StreamSpec, capacity_bytes: int) -> int:
    """What a ring's file takes: header, data, index and schema."""
    schema = Layout.from_spec(spec).schema
    capacity = _padded(capacity_bytes)
    entries = max(capacity // schema.smallest_record + 2, LEAST_ENTRIES)
    return HEADER_BYTES + capacity + ENTRY_BYTES * entries + len(schema.message)
