"""A history as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ringdaq.gateway import encode
from ringdaq.history import History, HistoryGap, HistoryPart
from ringdaq.v1 import data_pb2

MESSAGE_BYTES = 4 << 20
SOURCES = {"ring": data_pb2.HISTORY_SOURCE_RING, "file": data_pb2.HISTORY_SOURCE_FILE}


def encoded(history: History) -> Iterator[data_pb2.QueryHistoryResponse]:
    """The messages of one answer, none larger than a few megabytes."""
    spec = history.spec.to_dict()
    plain = {"name": history.spec.name, "spec": spec, "path": "", "generation": ""}
    yield data_pb2.QueryHistoryResponse(stream=encode.stream_info(plain))
    for part in history.parts:
        row_bytes = 16 + sum(
            16 if values.dtype == object else 2 * values[:1].nbytes for values in part.low.values()
        )
        step = max(1, MESSAGE_BYTES // row_bytes)
        for start in range(0, len(part.first_nanos), step):
            rows = _rows(part, slice(start, start + step))
            yield data_pb2.QueryHistoryResponse(rows=rows)
    yield data_pb2.QueryHistoryResponse(gaps=[_gap(gap) for gap in history.gaps])


def _rows(part: HistoryPart, place: slice) -> data_pb2.HistoryRows:
    return data_pb2.HistoryRows(
        folded=part.folded,
        source=SOURCES[part.source],
        first_nanos=_bytes(part.first_nanos[place]),
        last_nanos=_bytes(part.last_nanos[place]) if part.folded else b"",
        counts=_bytes(part.counts[place]) if part.folded else b"",
        columns=[_column(part, name, place) for name in part.low],
    )


def _column(part: HistoryPart, name: str, place: slice) -> data_pb2.HistoryColumn:
    low, missing = part.low[name][place], part.missing.get(name)
    mask = b"" if missing is None else _bytes(missing[place].astype(np.uint8))
    if low.dtype == object:
        texts = ["" if text is None else str(text) for text in low.ravel()]
        return data_pb2.HistoryColumn(channel=name, dtype="string", texts=texts, missing=mask)
    return data_pb2.HistoryColumn(
        channel=name,
        dtype=str(low.dtype),
        low=_bytes(low),
        high=_bytes(part.high[name][place]) if part.folded else b"",
        missing=mask,
    )


def _bytes(values: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()


def _gap(gap: HistoryGap) -> data_pb2.HistoryGap:
    return data_pb2.HistoryGap(
        first_nanos=gap.first_nanos, last_nanos=gap.last_nanos, rows=gap.rows, reason=gap.reason
    )
