"""A stand for script processes: a daemon's side that answers, and what tests ask of an end."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ringdaq.errors import ScriptStoppedError
from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, Outcome, ScriptProcess

VERBS = {"stage": ["move_abs", "position", "stop"], "camera": ["arm", "trigger"]}
PATIENCE_SECS = 30.0


class Host:
    """A daemon's side that notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[Any], dict[str, Any]]] = []
        self.rows: list[dict[str, Any]] = []
        self.text = ""
        self.stop = threading.Event()
        self.answers: dict[str, Callable[..., Any]] = {}

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.calls.append((instrument, verb, args, kwargs))
        answer = self.answers.get(f"{instrument}.{verb}")
        return answer(*args, **kwargs) if answer else None

    def emit(self, values: dict[str, Any]) -> None:
        self.rows.append(values)

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise ScriptStoppedError("stopped while it slept")


class Runner:
    """Starts scripts and ends those that a failed test left."""

    def __init__(self) -> None:
        self.host = Host()
        self.started: list[ScriptProcess] = []

    def start(self, source: str, **options: Any) -> ScriptProcess:
        process = self.ready(source, **options)
        process.start()
        return process

    def ready(
        self,
        source: str,
        *,
        parameters: dict[str, Any] | None = None,
        modules: Sequence[str] = DEFAULT_MODULES,
        **limits: Any,
    ) -> ScriptProcess:
        process = ScriptProcess(
            textwrap.dedent(source),
            name="test.py",
            parameters=parameters or {},
            instruments=VERBS,
            limits=Limits(**limits),
            modules=modules,
            host=self.host,
        )
        self.started.append(process)
        return process

    def run(self, source: str, **options: Any) -> Outcome:
        return ended(self.start(source, **options))


def ended(process: ScriptProcess) -> Outcome:
    outcome = process.wait(PATIENCE_SECS)
    assert outcome is not None, "the script did not end"
    return outcome


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


def message(outcome: Outcome) -> str:
    assert outcome.error is not None
    return str(outcome.error["message"])


def limit_of(outcome: Outcome) -> tuple[str, int]:
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["class"] == "ScriptLimitError"
    details: Any = outcome.error["details"]
    assert f"line {details['line']}" in message(outcome)
    return details["limit"], details["line"]


def blocking(runner: Runner, verb: str) -> tuple[threading.Event, threading.Event]:
    """Make a verb wait; returns "it was called" and "let it go"."""
    called, release = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        called.set()
        release.wait(PATIENCE_SECS)

    runner.host.answers[verb] = wait
    return called, release
