"""Each scenario of a script's life, told once and run in every language."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ringdaq.errors import (
    InstrumentFaultError,
    LimitError,
    ScriptRejectedError,
    ScriptStoppedError,
)
from ringdaq.model import RunState
from ringdaq.scripts import (
    DEFAULT_MODULES,
    LANGUAGES,
    Language,
    Limits,
    Outcome,
    ScriptProcess,
    check_script,
    instruments_used,
    language_of,
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

    def output(self, text: str) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.called.set()
        if seconds > 60 and self.stopping.wait(PATIENCE_SECS):
            raise ScriptStoppedError("stopped while it slept")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


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


@pytest.fixture
def runner(language: Language) -> Iterator[Runner]:
    runner = Runner(language)
    yield runner
    process = runner.bench.process
    if process is not None:
        process.kill()
        assert process.wait(PATIENCE_SECS)


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


# --- what scripts can do: scenario -> scripts, calls, rows, output


@dataclass
class Done:
    """What is to be seen of a script that came to its end."""

    python: str
    rhai: str
    calls: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


DONE = {
    "a scan": Done(
        "for i in range(3):\n    stage.move_abs(i * 0.5)\n    camera.trigger()\n    sleep(0.05)",
        "for i in 0..3 {\n    stage.move_abs(i * 0.5);\n    camera.trigger();\n    sleep(0.05);\n}",
        calls=[
            "stage.move_abs(0.0)", "camera.trigger()", "stage.move_abs(0.5)", "camera.trigger()",
            "stage.move_abs(1.0)", "camera.trigger()",
        ],
    ),
    "whole numbers for broken ones": Done(
        "stage.move_abs(3)\nsleep(1)", "stage.move_abs(3);\nsleep(1);", calls=["stage.move_abs(3)"]
    ),
    "arguments by name": Done(
        "camera.arm(mode='fast', n=2)",
        'camera.arm(#{mode: "fast", n: 2});',
        calls=["camera.arm(mode='fast', n=2)"],
    ),
    "answers come back": Done(
        "print(f'at {stage.position()}')",
        "print(`at ${stage.position()}`);",
        calls=["stage.position()"],
        text="at 1.5\n",
    ),
    "rows": Done(
        "emit(a=1, b=2.5, c='é', d=True)",
        'emit(#{a: 1, b: 2.5, c: "é", d: true});',
        rows=[{"a": 1, "b": 2.5, "c": "é", "d": True}],
    ),
    "parameters": Done(
        "print(parameters['n'] + 1, parameters['x']['y'], parameters.get('z', 4))",
        "print(parameters.n + 1, parameters.x.y, parameters.z ?? 4);",
        text="3 0.5 4\n",
        parameters={"n": 2, "x": {"y": 0.5}},
    ),
    "functions see instruments": Done(
        "def walk(x):\n    stage.move_abs(x)\nwalk(2)",
        "fn walk(x) {\n    stage.move_abs(x);\n}\nwalk(2);",
        calls=["stage.move_abs(2)"],
    ),
    "closures": Done(
        "twice = lambda x: x * 2\nprint(list(map(twice, [1, 2])))",
        "let twice = |x| x * 2;\nprint([1, 2].map(|x| twice.call(x)));",
        text="[2, 4]\n",
    ),
    "errors are caught by kind": Done(
        "try:\n    stage.move_abs(99)\nexcept InstrumentError as e:\n"
        "    print(type(e).__name__ == 'x', e.instrument, e)",
        "try {\n    stage.move_abs(99);\n} catch (e) {\n"
        '    if !e.is_a("InstrumentError") { throw e; }\n'
        '    print(e.kind == "x", e.instrument, e);\n}',
        calls=["stage.move_abs(99)"],
        text="{false} stage the stage goes to 50 mm; found 99\n",
    ),
    "a scan in the daemon": Done(
        "print(len(scan(stage, 0, 10, 5, detectors=[camera])))",
        "print(scan(stage, 0, 10, 5, #{detectors: [camera]}).len());",
        calls=["scan(stage, 0, 10, 5, detectors=['camera'])"],
        text="1\n",
    ),
    "points that the script chooses": Done(
        "print(adaptive(stage, 1.0, lambda rows: 2.0 if len(rows) < 2 else None)['stage'])",
        "print(adaptive(stage, 1.0, |rows| if rows.len() < 2 { 2.0 } else { () }).stage);",
        calls=["point(stage, 1.0, [])", "point(stage, 2.0, [])"],
        text="[1.0, 2.0]\n",
    ),
    "a shutter is closed": Done(
        "with shutter_open(lamp):\n    camera.trigger()",
        "with_shutter_open(lamp, || {\n    camera.trigger();\n});",
        calls=["lamp.open_shutter()", "camera.trigger()", "lamp.close_shutter()"],
    ),
    "a verb starts the budget anew": Done(
        "for _ in range(50):\n    for _ in range(300): pass\n    stage.position()",
        "for i in 0..50 {\n    for j in 0..300 { 1; }\n    stage.position();\n}",
        calls=["stage.position()"] * 50,
    ),
}  # fmt: skip


@pytest.mark.parametrize("scenario", DONE)
def test_what_a_script_does(runner: Runner, scenario: str) -> None:
    case = DONE[scenario]
    runner.bench.answers["position"] = lambda: 1.5
    outcome = runner.run(both(case.python, case.rhai), parameters=case.parameters)
    false = "False" if runner.language == "python" else "false"
    assert outcome.error is None
    assert outcome.state == RunState.COMPLETED
    assert runner.bench.calls == case.calls
    assert runner.bench.rows == case.rows
    assert runner.bench.text == case.text.replace("{false}", false)


# --- how scripts fail: scenario -> scripts, class, words, line


FAILED = {
    "an uncaught error of a verb": both(
        "x = 1\nstage.move_abs(\n    99)", "let x = 1;\nstage.move_abs(\n    99);"
    ),
    "an error thrown again": both(
        "try:\n  stage.move_abs(99)\nexcept LimitError as e: raise",
        "try {\n  stage.move_abs(99);\n} catch (e) { throw e; }",
    ),
}


@pytest.mark.parametrize("scenario", FAILED)
def test_an_error_of_a_verb_keeps_its_class(runner: Runner, scenario: str) -> None:
    outcome = runner.run(FAILED[scenario])
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["class"] == "LimitError"
    assert outcome.error["message"] == "the stage goes to 50 mm; found 99"
    assert outcome.error["details"] == {"instrument": "stage"}
    assert outcome.line in (2, 3)


@pytest.mark.parametrize(
    ("python", "rhai", "words", "line"),
    [
        ("\nraise ValueError('too bright')", '\nthrow "too bright";', "too bright", 2),
        ("def f(x):\n    return 1 % x\n\nf(0)", "fn f(x) {\n    1 % x\n}\nf(0);", "(line 2", 2),
        ("\nsleep(-1)", "\nsleep(-1);", "sleep takes 0 seconds or more; found -1", 2),
        ("\nemit()", "\nemit();", "emit takes at least one value", 2),
        ("\nemit(x=[1])", "\nemit(#{x: [1]});", "emit 'x' takes a number, a truth value", 2),
        ("\nprogress(3, 2)", "\nprogress(3, 2);", "progress takes 0 <= done <= total", 2),
        ("\nstage.move_abs(print)", "\nstage.move_abs(|| 1);", "stage.move_abs takes numbers", 2),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(
    runner: Runner, python: str, rhai: str, words: str, line: int
) -> None:
    outcome = runner.run(both(python, rhai))
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert words in str(outcome.error["message"])
    assert outcome.line == line
    assert runner.bench.calls == []


# --- limits


LIMITS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "an endless loop": (both("while True: pass", "loop {}"), "operations", {}),
    "an endless loop that computes": (
        both("x = 0\nwhile True:\n    x += 1", "let x = 0;\nwhile true {\n    x += 1;\n}"),
        "operations",
        {},
    ),
    "an endless loop that catches": (
        both(
            "while True:\n    try:\n        x = 1\n    except BaseException: pass",
            "loop {\n    try {\n        let x = 1;\n    } catch {}\n}",
        ),
        "operations",
        {},
    ),
    "an endless recursion": (both("def f(): f()\nf()", "fn f() { f() }\nf();"), "recursion", {}),
    "a text that grows": (
        both(
            "s = '#'\nwhile True:\n    s += s",
            'let s = "#";\nloop {\n    s += s;\n}',
        ),
        "memory_bytes",
        {"memory_bytes": 256 << 20},
    ),
    "one huge value": (
        both("x = bytearray(1 << 40)", "let x = blob(1000000000000, 0);"),
        "memory_bytes",
        {},
    ),
    "endless output": (
        both(
            "while True:\n    print('#' * 100)\n    stage.position()",
            'let s = "##########";\nfor i in 0..4 { s += s; }\n'
            "loop {\n    print(s);\n    stage.position();\n}",
        ),
        "output_bytes",
        {"output_bytes": 1000},
    ),
    "too long": (both("sleep(1e6)", "sleep(1e6);"), "wall_secs", {"wall_secs": 0.3}),
}


@pytest.mark.parametrize("scenario", LIMITS)
def test_each_limit_names_itself_and_the_line(runner: Runner, scenario: str) -> None:
    sources, limit, limits = LIMITS[scenario]
    process = runner.start(sources, **limits)
    if limit == "wall_secs":
        until(lambda: process.current_line)
        threading.Timer(0.3, runner.bench.stopping.set).start()
    outcome = ended(process)
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["class"] == "ScriptLimitError"
    details: Any = outcome.error["details"]
    assert details["limit"] == limit
    assert details["line"] > 0
    assert f"line {details['line']}" in str(outcome.error["message"])
    assert len(runner.bench.text) <= 1 << 20


TIDY = both(
    "try:\n    while True: pass\nexcept Exception:\n    camera.trigger()\n"
    "finally:\n    stage.stop()",
    "with_finally(|| {\n    try { loop {} } catch { camera.trigger(); }\n}, || stage.stop());",
)


def test_a_used_up_limit_is_tidied_up_after(runner: Runner) -> None:
    outcome = runner.run(TIDY)
    assert outcome.error is not None
    assert outcome.error["class"] == "ScriptLimitError"
    assert runner.bench.calls == ["stage.stop()"]


# --- stopping


def stopped(runner: Runner, process: ScriptProcess) -> Outcome:
    assert runner.bench.called.wait(PATIENCE_SECS)
    process.request_stop()
    runner.bench.stopping.set()
    return ended(process)


STOPS = {
    "a sleep": both("sleep(1e6)", "sleep(1e6);"),
    "a loop of verbs": both(
        "while True:\n    stage.position()", "loop {\n    stage.position();\n}"
    ),
    "a loop of verbs that catches": both(
        "while True:\n    try:\n        stage.position()\n    except BaseException:\n        pass",
        "loop {\n    try {\n        stage.position();\n    } catch (e) { }\n}",
    ),
    "a computation": both(
        "stage.position()\nwhile True:\n    x = 1", "stage.position();\nloop {\n    let x = 1;\n}"
    ),
    "an empty loop": both("stage.position()\nwhile True: pass", "stage.position();\nloop {}"),
}


@pytest.mark.parametrize("scenario", STOPS)
def test_a_stop_ends(runner: Runner, scenario: str) -> None:
    process = runner.start(STOPS[scenario], operations=10**12)
    assert stopped(runner, process) == Outcome(RunState.STOPPED, None, process.current_line)
    count = len(runner.bench.calls)
    assert process.wait_idle(PATIENCE_SECS)
    assert len(runner.bench.calls) == count


def test_a_stop_lets_the_script_tidy_up(runner: Runner) -> None:
    process = runner.start(
        both(
            "try:\n    sleep(1e6)\n    camera.trigger()\nfinally:\n    stage.stop()\n"
            "    print('tidy')",
            "with_finally(|| {\n    sleep(1e6);\n    camera.trigger();\n}, || {\n"
            '    stage.stop();\n    print("tidy");\n});',
        )
    )
    outcome = stopped(runner, process)
    assert (outcome.state, outcome.error) == (RunState.STOPPED, None)
    assert runner.bench.calls == ["stage.stop()"]
    assert runner.bench.text == "tidy\n"


def test_a_stop_closes_the_shutter(runner: Runner) -> None:
    process = runner.start(
        both(
            "with shutter_open(lamp):\n    sleep(1e6)",
            "with_shutter_open(lamp, || sleep(1e6));",
        )
    )
    assert stopped(runner, process).state == RunState.STOPPED
    assert runner.bench.calls == ["lamp.open_shutter()", "lamp.close_shutter()"]


def test_an_error_while_tidying_up_is_told(runner: Runner) -> None:
    def fail() -> None:
        raise InstrumentFaultError("the stage is stuck", instrument="stage")

    runner.bench.answers["stop"] = fail
    outcome = runner.run(
        both(
            "try:\n    stage.position()\nfinally:\n    stage.stop()",
            "with_finally(|| stage.position(), || stage.stop());",
        )
    )
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["message"] == "the stage is stuck"


def test_a_killed_process_is_noticed(runner: Runner) -> None:
    process = runner.start(both("sleep(1e6)", "sleep(1e6);"))
    assert runner.bench.called.wait(PATIENCE_SECS)
    os.kill(process.pid, signal.SIGKILL)
    outcome = ended(process)
    runner.bench.stopping.set()
    assert outcome.state == RunState.CRASHED
    assert outcome.error is not None
    assert "was killed by SIGKILL at line 1" in str(outcome.error["message"])


# --- knowing


PROGRESS = {
    "one loop": (
        both(
            "for i in range(4):\n    stage.position()", "for i in 0..4 {\n    stage.position();\n}"
        ),
        [0.0, 25.0, 50.0, 75.0],
    ),
    "loops in loops": (
        both(
            "for i in range(2):\n    for j in [1, 2]:\n        stage.position()",
            "for i in 0..2 {\n    for j in [1, 2] {\n        stage.position();\n    }\n}",
        ),
        [0.0, 25.0, 50.0, 75.0],
    ),
    "loops in a row, one in a function": (
        both(
            "def f():\n    for i in range(2):\n        stage.position()\n\n"
            "for i in range(2):\n    stage.position()\nf()",
            "fn f() {\n    for i in 0..2 {\n        stage.position();\n    }\n}\n"
            "for i in 0..=1 {\n    stage.position();\n}\nf();",
        ),
        [0.0, 25.0, 50.0, 75.0],
    ),
    "a loop of unknown length": (
        both(
            "i = 0\nwhile i < 2:\n    stage.position()\n    i += 1",
            "let i = 0;\nwhile i < 2 {\n    stage.position();\n    i += 1;\n}",
        ),
        [None, None],
    ),
    "a loop left early": (
        both(
            "for i in range(4):\n    stage.position()\n    if i == 1: break\n"
            "for i in range(2):\n    stage.position()",
            "for i in 0..4 {\n    stage.position();\n    if i == 1 { break; }\n}\n"
            "for i in range(0, 20, 10) {\n    stage.position();\n}",
        ),
        [0.0, 12.5, 50.0, 75.0],
    ),
    "the script's own word": (
        both(
            "progress(1, 4)\nfor i in range(2):\n    stage.position()\nprogress(3, 4)\n"
            "stage.position()",
            "progress(1, 4);\nfor i in 0..2 {\n    stage.position();\n}\nprogress(3, 4);\n"
            "stage.position();",
        ),
        [25.0, 25.0, 75.0],
    ),
}


@pytest.mark.parametrize("scenario", PROGRESS)
def test_progress_needs_no_code_in_the_script(runner: Runner, scenario: str) -> None:
    sources, percents = PROGRESS[scenario]
    process = runner.start(sources)
    assert ended(process).error is None
    assert runner.bench.percents == percents
    assert process.progress_percent == 100.0


def test_the_line_is_known_while_a_verb_waits_and_a_loop_turns(runner: Runner) -> None:
    lines: list[int] = []
    runner.bench.answers["position"] = lambda: lines.append(process.current_line)
    process = runner.start(
        both(
            "x = 1\nfor i in range(1):\n    stage.position()\nwhile True:\n    x = 2",
            "let x = 1;\nfor i in 0..1 {\n    stage.position(); }\nloop {\n    x = 2; }",
        ),
        operations=10**12,
    )
    until(lambda: process.current_line == 5)
    assert lines == [3]
    assert process.source_line.startswith("x = 2")


# --- the check before a run


REFUSED = {
    "a mistyped verb": (
        both("\nstage.positon()", "\nstage.positon();"),
        "line 2, column 7: the instrument 'stage' has no verb 'positon'; did you mean 'position'?",
    ),
    "a mistyped verb in a closure": (
        both("f = lambda: stage.positon()", "let f=|| 0+ stage.positon();"),
        "line 1, column 19: the instrument 'stage' has no verb 'positon'",
    ),
    "a mistyped instrument": (
        both("x = camra.trigger()", "let x = camra.trigger();"),
        "unknown name 'camra'; did you mean 'camera'?",
    ),
    "a mistyped function": (
        both("\nslep(1)", "\nslep(1);"),
        "'slep'; did you mean 'sleep'?",
    ),
    "no script at all": (both("x = = 1", "let x = = 1;"), "invalid syntax"),
    "an instrument written to": (
        both("stage.speed = 3", "stage.speed = 3;"), "the instrument 'stage' cannot be written to",
    ),
    "code made at run time": (
        both("eval('1')", 'eval("1");'), "scripts cannot make code at run time",
    ),
    "files beside it": (
        both("from . import x", 'import "x" as x;'), "a script stands alone: it cannot import",
    ),
    "the column of times": (
        both("emit(time=1)", "emit(#{time: 1});"), "emit writes 'time' itself; take another name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("scenario", REFUSED)
def test_a_wrong_script_is_refused_with_its_place(language: Language, scenario: str) -> None:
    sources, words = REFUSED[scenario]
    with pytest.raises(ScriptRejectedError) as caught:
        check_script(
            sources[language], instruments=VERBS, modules=DEFAULT_MODULES, language=language
        )
    assert words in str(caught.value)
    assert caught.value.line > 0
    assert caught.value.column > 0


def test_instruments_are_found_by_their_use(language: Language) -> None:
    source = both(
        "def f():\n    lamp.open_shutter()\n\nx = lambda: stage.position()",
        "fn f() {\n    lamp.open_shutter();\n}\nlet camera = 1;\nlet x = || stage.position();",
    )[language]
    assert instruments_used(source, VERBS, language) == ["lamp", "stage"]


def test_an_instrument_that_was_not_granted_is_named(language: Language) -> None:
    with pytest.raises(ScriptRejectedError, match="'lamp' was not granted"):
        check_script(
            both("lamp.open_shutter()", "lamp.open_shutter();")[language],
            instruments={"stage": VERBS["stage"]},
            modules=DEFAULT_MODULES,
            withheld=["lamp"],
            language=language,
        )


def test_long_scripts_are_looked_at_too(language: Language) -> None:
    line = both("stage.position()\n", "stage.position();\n")[language]
    with pytest.raises(ScriptRejectedError, match="line 2001, column 7: "):
        check_script(
            line * 2000 + line.replace("position", "positon"),
            instruments=VERBS,
            modules=DEFAULT_MODULES,
            language=language,
        )


def test_the_language_comes_from_the_name_or_is_stated() -> None:
    assert [language_of(n) for n in ("a.rhai", "a.py", "a")] == ["rhai", "python", "python"]
    assert language_of("a.py", "rhai") == "rhai"
    with pytest.raises(ScriptRejectedError, match="one of python, rhai; found 'lua'"):
        language_of("a.lua", "lua")


def test_measured_infinities_can_be_emitted(runner: Runner) -> None:
    runner.run(both("emit(x=float('inf'))", "emit(#{x: 1.0 / 0.0});"))
    assert math.isinf(runner.bench.rows[0]["x"])
