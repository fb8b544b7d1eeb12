"""The query for a stream's history: its request, and the answer put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ringdaq.client import decode
from ringdaq.client.calls import DATA, Call
from ringdaq.errors import ServiceError
from ringdaq.history import History, HistoryGap, HistoryPart
from ringdaq.model import StreamSpec
from ringdaq.moments import parse_moment
from ringdaq.v1 import data_pb2

QUERY_SECS = 60.0
SOURCES = {data_pb2.HISTORY_SOURCE_RING: "ring", data_pb2.HISTORY_SOURCE_FILE: "file"}
Message = data_pb2.QueryHistoryResponse


def history(
    stream: str, since: Any, until: Any, max_points: int | None, channels: Sequence[str] | None
) -> Call[Message]:
    """What a stream held."""
    return Call(
        DATA + "QueryHistory",
        data_pb2.QueryHistoryRequest(
            stream=stream,
            since_nanos=0 if since is None else parse_moment(since),
            until_nanos=0 if until is None else parse_moment(until),
            max_points=max_points or 0,
            channels=channels or [],
        ),
        data_pb2.QueryHistoryResponse,
        lambda message: message,
        QUERY_SECS,
    )


def assembled(messages: Iterable[Message]) -> History:
    """The answer that came in several messages."""
    spec: StreamSpec | None = None
    parts: list[HistoryPart] = []
    gaps: list[HistoryGap] = []
    for message in messages:
        if message.HasField("stream"):
            spec = decode.stream_info(message.stream).spec
        if message.HasField("rows") and spec is not None:
            parts.append(_part(message.rows, spec))
        gaps += [_gap(gap) for gap in message.gaps]
    if spec is None:
        raise ServiceError("the daemon's answer about a stream's history ended before it began")
    return History(spec, parts, gaps)


def _part(rows: data_pb2.HistoryRows, spec: StreamSpec) -> HistoryPart:
    first = np.frombuffer(rows.first_nanos, "<i8")
    shapes = {channel.name: channel.shape for channel in spec.channels}
    low = {
        c.channel: _values(c, c.low, shapes.get(c.channel, ()), len(first)) for c in rows.columns
    }
    high = low
    if rows.folded:
        high = {c.channel: _values(c, c.high, (), len(first)) for c in rows.columns}
    return HistoryPart(
        source=SOURCES.get(rows.source, ""),
        folded=rows.folded,
        first_nanos=first,
        last_nanos=np.frombuffer(rows.last_nanos, "<i8") if rows.folded else first,
        counts=(
            np.frombuffer(rows.counts, "<i8") if rows.folded else np.ones(len(first), np.int64)
        ),
        low=low,
        high=high,
        missing={c.channel: np.frombuffer(c.missing, np.bool_) for c in rows.columns if c.missing},
    )


def _values(
    column: data_pb2.HistoryColumn, data: bytes, shape: tuple[int, ...], rows: int
) -> np.ndarray[Any, np.dtype[Any]]:
    if column.dtype != "string":
        numbers = np.frombuffer(data, np.dtype(column.dtype).newbyteorder("<"))
        return numbers.reshape(rows, *shape)
    texts = np.array([*column.texts, None], dtype=object)[:-1]
    if column.missing:
        texts[np.frombuffer(column.missing, np.bool_)] = None
    return texts


def _gap(message: data_pb2.HistoryGap) -> HistoryGap:
    return HistoryGap(
        message.first_nanos,
        message.last_nanos,
        message.rows if message.HasField("rows") else None,
        message.reason,
    )
