"""How soon what must end has ended, and whether others are still answered beside it."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import Row, quantile
from ringdaq.testing.daemon import TemporaryDaemon

TIMES, ASKED = 20, 1000
LOOP = "while True: stage.move_abs(1)\n"
ENDLESS = "stage.position()\nwhile True: pass\n"


class _Runs:
    """Runs of one script after another."""

    def __init__(self, control: Any, source: str) -> None:
        self.control = control
        wanted = {"content": source, "name": "ends.py"}
        self._script = control.call("scripts.upload", wanted)["script_id"]

    def start(self) -> dict[str, Any]:
        """A run that is past its first verb, unless it has ended."""
        run: dict[str, Any] = self.control.call("runs.start", {"script": self._script})
        while not (status := self.control.call("runs.status", run))["trace"]:
            if status["state"] != "running":
                break
            time.sleep(0.002)
        return run

    def end(self, run: dict[str, Any], state: str) -> dict[str, Any]:
        """Its last status, which must have this state."""
        status: dict[str, Any] = self.control.call("runs.wait", run | {"timeout": 30.0})
        if status["state"] != state:
            raise RuntimeError(f"a run should end {state}; found {status['state']}")
        return status


def _panics(control: Any) -> list[float]:
    runs, spent = _Runs(control, LOOP), []
    for _ in range(TIMES):
        run = runs.start()
        before = time.monotonic()
        control.call("panic")
        spent.append((time.monotonic() - before) * 1e3)
        runs.end(run, "stopped")
    return spent


def _crashes(control: Any) -> list[float]:
    runs, spent = _Runs(control, LOOP), []
    for _ in range(TIMES):
        run = runs.start()
        before = time.monotonic()
        os.kill(control.call("runs.status", run)["pid"], signal.SIGKILL)
        runs.end(run, "crashed")
        spent.append((time.monotonic() - before) * 1e3)
    return spent


def _endless(control: Any) -> list[float]:
    """From the last verb before the loop to the end of the run."""
    runs, spent = _Runs(control, ENDLESS), []
    for _ in range(TIMES):
        status = runs.end(runs.start(), "failed")
        spent.append((status["ended_nanos"] - status["trace"][-1]["time_nanos"]) / 1e6)
    return spent


def _asked_beside(control: Any, source: str) -> list[float]:
    runs, spent = _Runs(control, source), []
    run = runs.start()
    for _ in range(ASKED):
        before = time.monotonic()
        control.call("system.status")
        spent.append((time.monotonic() - before) * 1e3)
        time.sleep(0.002)
    control.call("runs.stop", run | {"force": True})
    runs.end(run, "stopped")
    return spent


def _row(id: str, what: str, values: list[float], limit: float, share: float) -> Row:
    value = quantile(values, share)
    more = {"p50": statistics.median(values), "most": max(values)}
    return Row(id, what, value, "ms", limit, "the goal", value / limit, more)


def measure(daemon: TemporaryDaemon) -> list[Row]:
    """All rows, on a daemon with a stage and nothing else to do."""
    control = daemon.control()
    taken: list[tuple[str, str, Callable[[Any], list[float]], float, float]] = [
        ("panic", "panic while a script loops, to all at rest, p99", _panics, 200.0, 0.99),
        ("crash", "a killed runner, to the end of its run at rest, p99", _crashes, 1000.0, 0.99),
        ("endless_loop", "an endless loop, to the run's end, p50", _endless, 100.0, 0.5),
        ("status_beside", "another client's status call beside verbs for ever, p99",
         lambda c: _asked_beside(c, "while True: stage.position()\n"), 10.0, 0.99),
    ]  # fmt: skip
    return [_row(id, what, take(control), limit, share) for id, what, take, limit, share in taken]
