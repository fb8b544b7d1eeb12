"""How a run ended, as its parent sees it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ringdaq.errors import (
    RingdaqError,
    ScriptError,
    ScriptFailedError,
    ScriptStoppedError,
    from_wire,
    to_wire,
)
from ringdaq.model import RunState
from ringdaq.visible import visible


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run; the process is gone."""

    state: RunState
    """COMPLETED, STOPPED, FAILED or CRASHED."""
    error: dict[str, object] | None
    """As `errors.to_wire` makes it."""
    line: int
    """Where the script was; 0 where it never began."""


@dataclass(frozen=True, slots=True)
class Killing:
    """Why the parent killed the process."""

    state: RunState
    error: RingdaqError | None


def outcome_of(
    done: Mapping[str, Any] | None,
    killing: Killing | None,
    *,
    returncode: int,
    line: int,
    last_line: int,
    stderr: str,
) -> Outcome:
    """The verdict: the script's own word first, then ours, then the kernel's.

    Control characters in it are made visible, because it will be read on terminals.
    """
    if done is not None:
        end = _told(done, line, last_line)
    elif killing is not None:
        error = None if killing.error is None else to_wire(killing.error)
        end = Outcome(killing.state, error, line)
    else:
        end = Outcome(RunState.CRASHED, to_wire(_crash(returncode, line, stderr)), line)
    return replace(end, error=_seen(end.error))


def _seen(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {_seen(name): _seen(one) for name, one in value.items()}
    return [_seen(one) for one in value] if isinstance(value, list | tuple) else value


def _told(done: Mapping[str, Any], line: int, last_line: int) -> Outcome:
    states = {s.value: s for s in (RunState.COMPLETED, RunState.STOPPED, RunState.FAILED)}
    state = states.get(str(done.get("state")), RunState.FAILED)
    error, at = done.get("error"), done.get("at")
    return Outcome(
        state,
        to_wire(from_wire(error)) if isinstance(error, dict) else None,
        at if isinstance(at, int) and 0 < at <= last_line else line,
    )


def _crash(returncode: int, line: int, stderr: str) -> ScriptFailedError:
    how = f"was killed by {_signal(-returncode)}" if returncode < 0 else f"ended with {returncode}"
    if returncode == -signal.SIGSYS:
        how = "made a system call that is forbidden to scripts and was killed (SIGSYS)"
    last = stderr.strip().splitlines()[-1:]
    words = f": {last[0]!r}" if last else ""
    return ScriptFailedError(
        f"the script's process {how} at line {line}{words}", line=line, traceback=stderr
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def forced() -> Killing:
    """Somebody asked for it."""
    return Killing(RunState.STOPPED, None)


def overdue(cause: RingdaqError | None, line: int, secs: float) -> Killing:
    """The script was told to end, because of `cause` or by somebody, and did not."""
    if cause is not None:
        return Killing(RunState.FAILED, cause)
    late = f"the script did not end within {secs:g} s of the stop and was killed at line {line}"
    return Killing(RunState.STOPPED, ScriptStoppedError(late))


def broken(error: Exception, line: int) -> Killing:
    """The process sent something that no script can."""
    return Killing(
        RunState.CRASHED,
        ScriptFailedError(f"the script's process broke its protocol: {error}", line=line),
    )


def host_failed(error: Exception) -> Killing:
    """The daemon could not serve the script."""
    own = (
        error
        if isinstance(error, RingdaqError)
        else ScriptError(f"the daemon could not serve the script: {type(error).__name__}: {error}")
    )
    return Killing(RunState.FAILED, own)
