"""What a script can do to itself: each is contained within its limit and told by name."""

from __future__ import annotations

from typing import Any

import pytest

from ringdaq.errors import ScriptRejectedError
from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, Outcome, ScriptProcess, check_script


class Host:
    """A daemon's side that keeps what was printed."""

    def __init__(self) -> None:
        self.text = ""

    def call(self, *request: Any) -> float:
        return 0.0

    def emit(self, values: Any) -> None:
        pass

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        pass


def run(source: str, **limits: Any) -> tuple[Outcome, str]:
    """The end of a script and what it printed."""
    host = Host()
    process = ScriptProcess(
        source,
        name="bad.py",
        parameters={},
        instruments={"stage": ["position"]},
        limits=Limits(**{"wall_secs": 60.0, "stop_secs": 0.5, **limits}),
        modules=[*DEFAULT_MODULES],
        host=host,
    )
    process.start()
    outcome = process.wait(90.0)
    assert outcome is not None, "it was not ended"
    return outcome, host.text


@pytest.mark.parametrize(
    ("source", "limit", "limits"),
    [
        ("while True: pass", "operations", {}),
        (
            "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
            "operations",
            {},
        ),
        ("def f():\n  try: f()\n  finally: f()\nf()", "operations", {}),
        ("any(False for _ in iter(int, 1))", "operations", {}),
        ("max(iter(int, 1))", "wall_secs", {"wall_secs": 0.5}),
        ("x = 7 ** 10 ** 9", "wall_secs", {"wall_secs": 0.5}),
        ("x = bytearray(10 * 10**9)", "memory_bytes", {}),
        ("x = []\nwhile True: x.append(bytes(1 << 20))", "memory_bytes", {}),
        ("x = '%2000000000d' % 1", "memory_bytes", {}),
        ("x = list(range(10**9))", "memory_bytes", {}),
        ("def f(): f()\nf()", "recursion", {}),
        ("import json\njson.loads('[' * 10**5)", "recursion", {}),
        ("print('#' * 10**9, end='')", "memory_bytes", {}),
        ("while True: print('#' * 10**6, end='')", "output_bytes", {}),
    ],
)
def test_each_excess_is_told_by_the_name_of_its_limit(
    source: str, limit: str, limits: dict[str, Any]
) -> None:
    outcome, text = run(source, **limits)
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    details: Any = outcome.error["details"]
    assert details["limit"] == limit
    assert 0 < details["line"] <= source.count("\n") + 1
    assert len(text) <= Limits().output_bytes


def test_a_stack_that_overflows_ends_that_process_only() -> None:
    outcome, _ = run(
        "import itertools\nx = iter(())\nfor _ in range(300_000): x = itertools.chain(x)\nlist(x)",
        operations=10**7,
    )
    assert outcome.state in (RunState.CRASHED, RunState.FAILED)
    assert outcome.error is not None
    assert "line" in str(outcome.error["message"])


def test_terminal_escapes_are_made_visible() -> None:
    _, text = run("print('\\x1b]0;title\\x07\\x1b[2J\\x9b31m\\u202e')")
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text[:-1])
    assert "\\x1b" in text


def test_terminal_escapes_in_the_current_line_are_made_visible() -> None:
    host = Host()
    process = ScriptProcess(
        "sleep(1)  # \x1b]0;title\x07",
        name="bad.py",
        parameters={},
        instruments={},
        limits=Limits(),
        modules=(),
        host=host,
    )
    process.start()
    assert process.wait(90.0) is not None
    assert process.source_line == "sleep(1)  # \\x1b]0;title\\x07"


@pytest.mark.parametrize("text", ["'\\x1b]0;title\\x07'", "{'\\x1b[2J': '\\x9b'}"])
def test_terminal_escapes_in_an_error_are_made_visible(text: str) -> None:
    outcome, _ = run(f"raise ValueError({text})")
    assert outcome.error is not None
    shown = str(outcome.error["message"])
    assert "\\x1b" in shown
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def test_the_name_of_a_script_opens_no_file() -> None:
    process = ScriptProcess(
        "x = [",
        name="/etc/passwd",
        parameters={},
        instruments={},
        limits=Limits(),
        modules=(),
        host=Host(),
    )
    process.start()
    outcome = process.wait(90.0)
    assert outcome is not None
    assert "root:" not in str(outcome.error)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"x = 1\n" * 400_000, "1048576"),
        (b"x = '\xff\xfe'", "UTF-8"),
        (b"x = 1\0", "NUL"),
        ("import os", "cannot import 'os'"),
        ("stage.positon()", "did you mean 'position'?"),
        ("().__class__", "cannot use '__class__'"),
        ("x = " + "(" * 1000, "nested"),
    ],
    ids=["2 MB", "not UTF-8", "NUL", "module", "verb", "inside", "parentheses"],
)
def test_what_the_check_refuses(source: str | bytes, words: str) -> None:
    with pytest.raises(ScriptRejectedError, match=words.replace("?", r"\?")):
        check_script(source, instruments={"stage": ["position"]}, modules=DEFAULT_MODULES)


def test_a_verb_from_a_second_thread_is_impossible() -> None:
    outcome, _ = run("import threading")
    assert outcome.error is not None
    assert "scripts cannot import 'threading'" in str(outcome.error["message"])
