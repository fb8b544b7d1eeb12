"""A stand for scripts of either language: a daemon's side that notes what it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ringdaq.errors import (
    LimitError,
    ScriptStoppedError,
)
from ringdaq.scripts import (
    DEFAULT_MODULES,
    Language,
    Limits,
    Outcome,
    ScriptProcess,
    check_script,
)

VERBS = {
    "stage": ["move_abs", "position", "stop"],
    "camera": ["arm", "trigger"],
    "lamp": ["open_shutter", "close_shutter"],
}
PATIENCE_SECS = 30.0


@dataclass
class Bench:
    """A daemon's side that notes what it is asked; the stage goes to 50."""

    calls: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    slept: float = 0.0
    text: str = ""
    levels: list[tuple[str, int]] = field(default_factory=list)
    percents: list[float | None] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    called: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, Callable[[], Any]] = field(default_factory=dict)
    process: ScriptProcess | None = None

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        assert self.process is not None
        words = [*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())]
        self.calls.append(f"{instrument}.{verb}({', '.join(words)})")
        self.percents.append(self.process.progress_percent)
        self.called.set()
        if verb == "move_abs" and not 0.0 <= args[0] <= 50.0:
            raise LimitError(f"the stage goes to 50 mm; found {args[0]}", instrument="stage")
        answer = self.answers.get(verb)
        return answer() if answer else None

    def plan(self, name: str, args: list[Any], kwargs: dict[str, Any], control: Any) -> Any:
        words = [*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())]
        words = [word.replace("()", "[]") for word in words]
        self.calls.append(f"{name}({', '.join(words)})")
        return {"stage": [float(args[1])]}

    def emit(self, values: dict[str, Any]) -> None:
        self.rows.append(values)

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text
        self.levels.append((level, line))

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.called.set()
        if seconds > 60 and self.stopping.wait(PATIENCE_SECS):
            raise ScriptStoppedError("stopped while it slept")


class Runner:
    """Starts scripts of one language and ends those that a failed test left."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.bench = Bench()

    def start(
        self, sources: dict[str, str], parameters: dict[str, Any] | None = None, **limits: Any
    ) -> ScriptProcess:
        source = sources[self.language]
        check_script(source, instruments=VERBS, modules=DEFAULT_MODULES, language=self.language)
        process = ScriptProcess(
            source,
            name="scenario",
            parameters=parameters or {},
            instruments=VERBS,
            limits=Limits(**limits),
            modules=DEFAULT_MODULES,
            host=self.bench,
            language=self.language,
        )
        self.bench.process = process
        process.start()
        return process

    def run(self, sources: dict[str, str], **options: Any) -> Outcome:
        return ended(self.start(sources, **options))


def ended(process: ScriptProcess) -> Outcome:
    outcome = process.wait(PATIENCE_SECS)
    assert outcome is not None, "the script did not end"
    return outcome


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


def both(python: str, rhai: str) -> dict[str, str]:
    return {"python": python, "rhai": rhai}
