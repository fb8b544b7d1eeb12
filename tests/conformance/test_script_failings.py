"""How scripts fail, and which limits end them, in every language."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from script_stand import Runner, both, ended, until

from ringdaq.model import RunState
from ringdaq.scripts import Limits

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
        ("\nsleep()", "\nsleep();", "sleep() missing 1 required", 2),
        ("\na = emit\na(1)", "\n\nemit(1);", "emit takes values by name", 3),
        ("\nadaptive(stage, 1, 5)", "\nadaptive(stage, 1, 5);", "a function of the rows", 2),
        (
            "\nwith shutter_open(stage): pass",
            "\nwith_shutter_open(stage, || 1);",
            "the instrument 'stage' has no verb 'open_shutter'",
            2,
        ),
        ("\nsleep('1')", '\nsleep("1");', "sleep takes a number; found '1'", 2),
        ("a = [stage]\na[0].positon()", "let a = [stage];\na[0].positon();", "position", 2),
        (
            "\nadaptive(stage, print, lambda rows: None)",
            "\nadaptive(stage, || 1, |rows| ());",
            "adaptive takes instruments, numbers and lists",
            2,
        ),
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


def test_too_many_values_for_a_scan_in_rhai_are_told() -> None:
    runner = Runner("rhai")
    outcome = runner.run({"rhai": f"scan(stage{', 0' * 17});"})
    assert outcome.error is not None
    assert "scan takes 16 values and a map of options at most" in str(outcome.error["message"])


def test_a_closure_in_rhai_is_called_so() -> None:
    outcome = Runner("rhai").run({"rhai": "with_shutter_open(lamp, |x| x);"})
    assert outcome.error is not None
    assert "Function not found: <closure> ()" in str(outcome.error["message"])


RECURSION = {"python": 1000, "rhai": 250}
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
    "a loop of verbs that computes for ever": (
        both("while True: stage.position()", "loop { stage.position(); }"),
        "total_operations",
        {"total_operations": 200},
    ),
    "a loop of verbs that catches everything": (
        both(
            "while True:\n    try:\n        stage.position()\n    except BaseException: pass",
            "loop {\n    try {\n        stage.position();\n    } catch {}\n}",
        ),
        "total_operations",
        {"total_operations": 200},
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
    value = (
        RECURSION[runner.language] if limit == "recursion" else Limits(**limits).to_dict()[limit]
    )
    assert f" {value} " in str(outcome.error["message"])
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
