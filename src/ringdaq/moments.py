"""Times and durations as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.errors import BadRequestError

_SECS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000} | {k: v * NANOS_PER_SEC for k, v in _SECS.items()}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> int:
    """A duration such as "90s", "5m", "1h 30m" or "2d" in nanoseconds."""
    parts = _PART.findall(text)
    rest = _PART.sub("", text).strip()
    if not parts or rest or any(unit not in UNITS for _, unit in parts):
        raise BadRequestError(
            f"a duration is a number with a unit ({', '.join(UNITS)}), such as 5m or 1h30m; "
            f"found {text!r}"
        )
    return sum(round(float(number) * UNITS[unit]) for number, unit in parts)


def parse_moment(value: Any, *, now: int | None = None) -> int:
    """A moment in ns since the epoch.

    Taken are: nanoseconds; a datetime, a `numpy.datetime64` (UTC) or ISO 8601 text, where without
    a zone this machine's time is meant; a timedelta or a text such as "5m", so long ago; "now".
    """
    now = now_nanos() if now is None else now
    if isinstance(value, bool):
        raise _unknown(value)
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return _datetime_nanos(value)
    if isinstance(value, timedelta):
        return now - _timedelta_nanos(value)
    if type(value).__name__ == "datetime64":
        return int(value.astype("datetime64[ns]").astype("int64"))
    if not isinstance(value, str):
        raise _unknown(value)
    return _text_nanos(value.strip(), now)


def _text_nanos(text: str, now: int) -> int:
    if text == "now":
        return now
    if text.lstrip("-").isdigit() and len(text) > 12:
        return int(text)
    try:
        return _datetime_nanos(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return now - parse_duration(text.removeprefix("-").removesuffix("ago").strip())
    except BadRequestError:
        raise _unknown(text) from None


def _datetime_nanos(stamp: datetime) -> int:
    return _timedelta_nanos(stamp.astimezone(UTC) - _EPOCH)


def _timedelta_nanos(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * NANOS_PER_SEC + span.microseconds * 1000


def _unknown(value: object) -> BadRequestError:
    return BadRequestError(
        "a moment is nanoseconds since 1970, a date and time such as '2026-03-01 14:30', "
        f"or how long ago, such as '5m'; found {value!r}"
    )
