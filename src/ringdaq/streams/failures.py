"""The core's errors in ringdaq's words."""

from __future__ import annotations

import errno
from pathlib import Path

import ringdaq_core as core

from ringdaq.errors import (
    ClosedStreamError,
    CorruptRecordError,
    EndOfStreamError,
    NotYetWrittenError,
    OverrunError,
    RingSpaceError,
    StreamError,
    UnknownStreamError,
    WriterGoneError,
)

CORE_ERRORS = (core.CoreError, OSError)
"""What the core raises."""

_PLAIN: dict[type[core.CoreError], type[StreamError]] = {
    core.CorruptError: CorruptRecordError,
    core.NotYetWrittenError: NotYetWrittenError,
    core.EndOfStreamError: EndOfStreamError,
    core.WriterGoneError: WriterGoneError,
    core.ClosedError: ClosedStreamError,
    core.InvalidError: StreamError,
}


def _space_error(error: core.NoSpaceError, stream: str, path: Path) -> RingSpaceError:
    text, needed, there = error.args
    return RingSpaceError(
        f"stream {stream!r}: {text}, so {max(needed - there, 0)} are missing. "
        f"Make the ring smaller, make room, or let `ring_directory` name another place: {path}",
        stream=stream,
    )


def _overrun_error(error: core.OverrunError, stream: str) -> OverrunError:
    text, records, rows, resume_at = error.args
    return OverrunError(
        f"stream {stream!r}: {text}",
        stream=stream,
        lost_records=records,
        lost_rows=-1 if rows is None else rows,
        resume_at=resume_at,
    )


def _system_error(error: OSError, stream: str, path: Path) -> StreamError:
    if error.errno == errno.ENOENT:
        return UnknownStreamError(f"there is no ring of stream {stream!r}: {path}", stream=stream)
    if error.errno == errno.ELOOP:
        return StreamError(
            f"the ring of stream {stream!r} must be a file, and is a symbolic link: {path}",
            stream=stream,
        )
    return StreamError(f"stream {stream!r}: {error.strerror or error}: {path}", stream=stream)


def stream_error(error: Exception, stream: str, path: Path) -> StreamError:
    """Translate an error of the core or the system."""
    if isinstance(error, core.NoSpaceError):
        return _space_error(error, stream, path)
    if isinstance(error, core.OverrunError):
        return _overrun_error(error, stream)
    if isinstance(error, OSError):
        return _system_error(error, stream, path)
    cls = _PLAIN.get(type(error), StreamError)  # type: ignore[arg-type]
    return cls(f"stream {stream!r}: {error}: {path}", stream=stream)
