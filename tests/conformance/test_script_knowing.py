"""What is known of a script while it runs, in every language."""

from __future__ import annotations

import pytest
from script_stand import Runner, both, ended, until

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


def test_output_has_a_level_and_a_line(runner: Runner) -> None:
    outcome = runner.run(
        both(
            "print('a')\nlog('b')\n\nlog('c', 'warning')\nlog('d', level='error')",
            'print("a");\nlog("b");\n\nlog("c", "warning");\nlog("d", "error");',
        )
    )
    assert outcome.error is None
    assert runner.bench.levels == [("info", 1), ("info", 2), ("warning", 4), ("error", 5)]
    assert "] warning: c\n" in runner.bench.text


def test_what_is_debugged_is_logged(runner: Runner) -> None:
    runner.run(both("\nlog(repr('a'), 'debug')", '\ndebug("a");'))
    assert runner.bench.levels == [("debug", 2)]
    assert "debug: " in runner.bench.text


def test_an_unknown_level_is_refused(runner: Runner) -> None:
    outcome = runner.run(both("log('a', 'loud')", 'log("a", "loud");'))
    assert outcome.error is not None
    assert "log takes a level of debug, info, warning, error; found 'loud'" in str(
        outcome.error["message"]
    )
