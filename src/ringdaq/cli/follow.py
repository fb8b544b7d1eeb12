"""Following a run to its end: its progress, its output, Ctrl-C, and what it left behind."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.output import data, say, shown, table
from ringdaq.cli.progress import Display, describe
from ringdaq.control import ControlClient
from ringdaq.model import RunState

Status = dict[str, Any]
POLL_SECS = 0.2
SEAL_SECS = 60.0
_OF_ITSELF = re.compile(r"run\.[^.]+\.(log|trace|progress)")


class Interrupts:
    """Counts Ctrl-C instead of ending: the first asks for a graceful stop, the second forces it."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)


class Output:
    """Passes a run's growing output on, each piece once."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._seen = ""

    def update(self, output: str) -> None:
        """Write what is new; the beginning of the output may have been cut off meanwhile."""
        if output == self._seen:
            return
        self._write(output[_overlap(self._seen, output) :])
        self._seen = output


def _overlap(old: str, new: str) -> int:
    """How much of the beginning of `new` is the end of `old`."""
    if new.startswith(old):
        return len(old)
    return next(n for n in range(min(len(old), len(new)), -1, -1) if old.endswith(new[:n]))


def follow(control: ControlClient, run_id: str, display: Display, output: Output) -> Status:
    """Show a run until it has ended and its file is finished; Ctrl-C stops it."""
    with Interrupts() as interrupts:
        handled = 0
        while True:
            params = {"run_id": run_id, "timeout": POLL_SECS}
            status: Status = control.call("runs.wait", params)
            output.update(status["output"])
            display.show(status["progress_percent"], describe(status))
            if RunState(status["state"]).ended:
                return wait_for_file(control, status)
            if interrupts.count > handled:
                handled = interrupts.count
                _stop(control, run_id, force=handled > 1)


def _stop(control: ControlClient, run_id: str, *, force: bool) -> None:
    say("killing the run" if force else "stopping the run; Ctrl-C again kills it")
    control.call("runs.stop", {"run_id": run_id, "force": force})


def wait_for_file(control: ControlClient, status: Status) -> Status:
    """The run's status once the recorder has finished its file, or given it up."""
    deadline = time.monotonic() + SEAL_SECS
    while not file_finished(status) and time.monotonic() < deadline:
        params = {"run_id": status["run_id"], "timeout": 1.0, "sealed": True}
        status = control.call("runs.wait", params)
    return status


def file_finished(status: Status) -> bool:
    """Whether there is nothing more to wait for."""
    recording = status.get("recording")
    return recording is None or recording["state"] not in ("waiting", "recording")


def exit_code_of(status: Status) -> int:
    """0 for a run that completed and whose file, if any, is whole."""
    recording = status.get("recording")
    whole = recording is None or recording["state"] == "sealed"
    return OK if status["state"] == RunState.COMPLETED and whole else FAILED


def report(status: Status) -> None:
    """Say how a run ended, and print its file and the rows in it."""
    say(ending(status))
    recording = status.get("recording")
    if recording is None:
        say("nothing was recorded: the rig says recorder = false")
        return
    if recording["state"] != "sealed":
        say(f"error: the file is {recording['state']}: {_message(recording.get('error'))}")
    data(f"file: {shown(recording['file'])}")
    data(table(["stream", "rows", "gaps"], rows_of(recording)))


def rows_of(recording: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Name, durable rows and gaps of each stream but those that the run keeps of itself."""
    return [
        (name, counts["durable_rows"], counts["gaps"])
        for name, counts in sorted(recording["streams"].items())
        if not _OF_ITSELF.fullmatch(name) or counts["gaps"]
    ]


def ending(status: Status) -> str:
    """One line: the state, the line, and what went wrong."""
    words = f"run {status['run_id']} {status['state']}"
    if status.get("error"):
        message, line = _message(status["error"]), f"line {status['current_line']}"
        told = line in message or not status["current_line"]
        words += f": {message}" if told else f" at {line}: {message}"
    return words


def _message(error: Any) -> str:
    return str(error["message"] if isinstance(error, dict) else error or "no reason given")
