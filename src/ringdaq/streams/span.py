"""From when to when: what people write, in the one clock's nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import StreamError

Moment = int | datetime | np.datetime64
"""Nanoseconds since the epoch, a datetime with a time zone, or a numpy datetime64 (UTC)."""
_LEAST, _MOST = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A stretch of time; `None` is as far as there is anything."""

    since: int | None = None
    until: int | None = None
    """Not part of it."""


def nanos_of(moment: Moment, stream: str) -> int:
    """A moment in ns since the epoch."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(moment, np.datetime64) and not np.isnat(moment):
        return int(moment.astype("datetime64[ns]").astype(np.int64))
    if isinstance(moment, int | np.integer) and not isinstance(moment, bool):
        return int(moment)
    raise StreamError(
        f"stream {stream!r}: a moment is int nanoseconds since the epoch, a datetime with a time "
        f"zone, or a datetime64; found {moment!r}",
        stream=stream,
    )


def _length(seconds: float, stream: str) -> int:
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise StreamError(
            f"stream {stream!r}: a window is 0 or more seconds long; found {seconds}", stream=stream
        )
    return round(seconds * NANOS_PER_SEC)


def span_of(
    stream: str,
    seconds: float | None,
    since: Moment | None,
    until: Moment | None,
    newest: Callable[[], int | None],
) -> Span:
    """The span that a window was asked for by; `newest` tells the time of the newest row."""
    begin = None if since is None else int64_nanos(nanos_of(since, stream))
    end = None if until is None else int64_nanos(nanos_of(until, stream))
    if seconds is None and begin is None and end is None:
        raise StreamError(
            f"stream {stream!r}: say how many seconds, or since and until when; all that is left "
            "comes from snapshot()",
            stream=stream,
        )
    if seconds is None:
        return Span(begin, end)
    if begin is not None and end is not None:
        raise StreamError(
            f"stream {stream!r}: a window has two of seconds, since and until; found all three",
            stream=stream,
        )
    length = _length(seconds, stream)
    if begin is not None:
        return Span(begin, int64_nanos(begin + length))
    last = newest() if end is None else end
    return Span(None if last is None else int64_nanos(last - length), end)


def int64_nanos(nanos: int) -> int:
    """The nearest moment that a row can have."""
    return max(_LEAST, min(nanos, _MOST))
