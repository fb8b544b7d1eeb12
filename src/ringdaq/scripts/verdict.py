"""How a script ended, told by its own process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ringdaq.errors import RingdaqError, ScriptFailedError, to_wire
from ringdaq.scripts.interrupts import LimitReached, ScriptStopped
from ringdaq.scripts.language import source_lines
from ringdaq.scripts.meter import Meter
from ringdaq.scripts.spent import memory_spent, recursion_spent

_MAX_MESSAGE = 2_000
_MAX_FRAMES = 20


def verdict(
    error: BaseException | None, meter: Meter, file: str, start: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of the `done` event: state, error, and the line where it ended."""
    line = _line(error, file) or meter.line
    if meter.limit is not None and meter.delivered:
        return _end("failed", meter.limit, meter.limit.line or line)
    if meter.delivered:
        own = None if isinstance(error, ScriptStopped) else error
        return _end("stopped", _explained(own, line, file, start), line)
    if error is None:
        return _end("completed", None, meter.line)
    return _end("failed", _explained(error, line, file, start), line)


def _end(state: str, error: RingdaqError | None, line: int) -> dict[str, Any]:
    return {"state": state, "error": None if error is None else to_wire(error), "at": line}


def _explained(
    error: BaseException | None, line: int, file: str, start: Mapping[str, Any]
) -> RingdaqError | None:
    """The error as one of ours; a verb's error keeps its class."""
    if error is None or isinstance(error, RingdaqError):
        return error
    if isinstance(error, LimitReached):
        return error.error
    if isinstance(error, MemoryError):
        return memory_spent(start["limits"]["memory_bytes"], line)
    if isinstance(error, RecursionError):
        return recursion_spent(sys.getrecursionlimit(), line)
    return ScriptFailedError(
        f"{_described(error)} (line {line})",
        line=line,
        traceback=_traceback(error, file, source_lines(start["source"])),
    )


def _described(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # the script's own __str__ may do anything, a stop included
        return kind
    return f"{kind}: {text[:_MAX_MESSAGE]}" if text else kind


def _frames(traceback: TracebackType | None, file: str) -> list[tuple[int, str]]:
    """Line and function of the frames that are the script's own, outermost first."""
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == file:
            found.append((traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    return found


def _line(error: BaseException | None, file: str) -> int:
    frames = _frames(error.__traceback__, file) if error is not None else []
    if isinstance(error, SyntaxError) and not frames:
        return error.lineno or 0
    return frames[-1][0] if frames else 0


def _traceback(error: BaseException, file: str, source: list[str]) -> str:
    lines = []
    for line, function in _frames(error.__traceback__, file)[-_MAX_FRAMES:]:
        text = source[line - 1].strip() if 0 < line <= len(source) else ""
        lines.append(f"  line {line}, in {function}\n    {text}")
    return "\n".join([*lines, _described(error)])
