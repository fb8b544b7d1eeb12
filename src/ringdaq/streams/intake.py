"""Arrays and lists as the columns of a record: converted where nothing is lost, else refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ringdaq.errors import StreamError
from ringdaq.model import Channel, StreamSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_INT64 = np.iinfo(np.int64).max
Column = tuple[Any, Any]
"""Values as the core takes them, and a byte a row that is 1 where one is missing, or `None`."""


def _refusal(stream: str, text: str) -> StreamError:
    return StreamError(f"stream {stream!r}: {text}", stream=stream)


def take_times(times: Any, stream: str) -> NDArray[np.int64]:
    """Times in ns since the epoch, at least one."""
    found = np.asarray(times)
    if found.dtype.kind == "M":
        if np.isnat(found).any():
            raise _refusal(stream, "every row needs a time; found NaT")
        found = found.astype("datetime64[ns]").view(np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 1 or not len(found):
        raise _refusal(
            stream,
            "times must be a list of at least one integer, in nanoseconds since the epoch; "
            f"found {found.dtype} of shape {found.shape}",
        )
    if found.dtype.kind == "u" and found.max() > _MAX_INT64:
        raise _refusal(stream, f"times must be below 2**63 ns; found {found.max()}")
    return np.ascontiguousarray(found, np.int64)


def take_column(channel: Channel, values: Any, rows: int, stream: str) -> Column:
    """One channel's values, as many as there are rows."""
    if channel.shape:
        raise _refusal(stream, f"channel {channel.name!r} holds images; use write_frame")
    if len(values) != rows:
        raise _refusal(
            stream, f"channel {channel.name!r} should have {rows} values; found {len(values)}"
        )
    if channel.dtype == "string":
        return list(values), None
    found, missing = _split(values)
    mask = None
    if missing is not None and missing.any():
        mask = missing.view(np.uint8)
        found = np.where(missing, _filler(channel), found)
    return _convert(channel, found, stream), mask


def _filler(channel: Channel) -> float:
    return np.nan if channel.dtype.startswith("float") else 0


def _split(values: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    if isinstance(values, np.ma.MaskedArray):
        return values.data, np.ma.getmaskarray(values)
    found = np.asarray(values)
    if found.dtype != object:
        return found, None
    missing = np.array([value is None for value in found], np.bool_)
    return found, missing


def _convert(channel: Channel, found: NDArray[Any], stream: str) -> NDArray[Any]:
    wanted = np.dtype(channel.dtype)
    if found.ndim != 1:
        raise _refusal(stream, f"channel {channel.name!r} must be one column; found {found.ndim}-D")
    if found.dtype == wanted:
        return np.ascontiguousarray(found)
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            converted = np.ascontiguousarray(found.astype(wanted))
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(stream, f"channel {channel.name!r} ({channel.dtype}): {error}") from None
    if not _same(converted, found):
        raise _refusal(
            stream, f"channel {channel.name!r} cannot hold these {found.dtype} as {channel.dtype}"
        )
    return converted


def _same(converted: NDArray[Any], found: NDArray[Any]) -> bool:
    if found.dtype.kind in "USmM":
        return False
    if converted.dtype.kind == "f":
        # A float may round, but must not become infinite.
        numbers = found.astype(np.float64)
        return bool((np.isfinite(converted) == np.isfinite(numbers)).all())
    if (converted.dtype.kind == "b") != (found.dtype.kind == "b") and found.dtype != object:
        return False
    return bool((converted == found).all())


def take_block(block: Any, spec: StreamSpec) -> NDArray[Any]:
    """Samples [rows, channels] of exactly the stream's dtype."""
    found = np.asarray(block)
    wanted = np.dtype(spec.channels[0].dtype)
    fits = found.ndim == 2 and len(found) > 0 and found.shape[1] == len(spec.channels)
    if not fits or found.dtype != wanted:
        raise _refusal(
            spec.name,
            f"a block must be {wanted} of shape (rows, {len(spec.channels)}); "
            f"found {found.dtype} of shape {found.shape}",
        )
    return np.ascontiguousarray(found)


def image_of(channel: Channel, value: Any, stream: str) -> NDArray[Any]:
    """An image of exactly the channel's dtype and shape."""
    found = np.asarray(value)
    if found.shape != channel.shape or found.dtype != np.dtype(channel.dtype):
        raise _refusal(
            stream,
            f"channel {channel.name!r} must be {channel.dtype} of shape {channel.shape}; "
            f"found {found.dtype} of shape {found.shape}",
        )
    return np.ascontiguousarray(found)
