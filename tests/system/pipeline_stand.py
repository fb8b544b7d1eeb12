"""A daemon with a simulated EEG board and pipelines, and what tests ask of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringdaq.testing import TemporaryDaemon

PATIENCE_SECS = 60.0

EEG = """
[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
[instrument.options]
channels = 4
rate_hz = 1000.0
dtype = "int32"
{more}
"""

FILTER = """
[pipeline.{name}]
[[pipeline.{name}.stage]]
type = "ring_source"
stream = "{stream}"
samples = 100
[[pipeline.{name}.stage]]
type = "to_voltage"
[[pipeline.{name}.stage]]
name = "band"
type = "bandpass"
low_hz = 1.0
high_hz = 40.0
[[pipeline.{name}.stage]]
type = "ring_sink"
stream = "{name}"
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + PATIENCE_SECS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECS:g} s for {what}"
        time.sleep(0.01)
    return found


class Pipelines:
    """The pipelines of a daemon."""

    def __init__(self, daemon: TemporaryDaemon) -> None:
        self.daemon = daemon
        self.control = daemon.control()

    def one(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.control.call("pipeline.list")
        return next(one for one in found if one["name"] == name)

    def await_state(self, name: str, state: str, *, but_pid: int | None = None) -> dict[str, Any]:
        def is_there() -> dict[str, Any] | None:
            one = self.one(name)
            fresh = but_pid is None or one["pid"] not in (None, but_pid)
            return one if one["state"] == state and fresh else None

        found: dict[str, Any] = until(is_there, f"pipeline {name} to be {state}")
        return found

    def stream(self, name: str) -> dict[str, Any]:
        streams: list[dict[str, Any]] = self.control.call("streams.list")
        return next((one for one in streams if one["name"] == name), {})

    def await_rows(self, name: str, rows: int, *, after: str = "") -> dict[str, Any]:
        """Wait for a stream's rows, in a generation that comes after another one."""

        def has_rows() -> dict[str, Any] | None:
            stream = self.stream(name)
            there = stream and stream["generation"] != after
            return stream if there and stream["statistics"]["rows"] >= rows else None

        found: dict[str, Any] = until(has_rows, f"{rows} rows of {name}")
        return found

    def kill(self, name: str) -> int:
        """Kill a pipeline's process; returns its pid."""
        pid: int = self.one(name)["pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def record(self, *streams: str) -> str:
        started = self.control.call("recordings.start", {"streams": list(streams)})
        recording_id: str = started["recording_id"]
        return recording_id

    def end_recording(self, recording_id: str) -> tuple[Path, dict[str, Any]]:
        """Stop a recording; returns its sealed file and its counters."""
        stopped = self.control.call("recordings.stop", {"recording_id": recording_id})
        params = {"recording_id": stopped["part_id"]}

        def sealed() -> dict[str, Any] | None:
            status: dict[str, Any] = self.control.call("recordings.status", params)
            assert status["state"] != "failed", status
            return status if status["state"] == "sealed" else None

        status = until(sealed, "the file to be sealed")
        return Path(stopped["files"][-1]), status["streams"]
