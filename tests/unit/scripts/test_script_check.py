"""Wrong scripts are refused with line, column and advice; honest ones pass."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ringdaq.errors import ScriptRejectedError
from ringdaq.scripts import DEFAULT_MODULES, check_script, decode_source, instruments_used

INSTRUMENTS = {
    "stage": ("move_abs", "move_rel", "position", "wait_settled", "stop", "home"),
    "camera": ("arm", "trigger", "is_armed"),
    "power_meter": ("read",),
}
EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "scripts").glob("*.py"))


def check(source: str | bytes, **changed: object) -> None:
    options = {"instruments": INSTRUMENTS, "modules": DEFAULT_MODULES, **changed}
    check_script(source, **options)  # type: ignore[arg-type]


def refusal(source: str | bytes, **changed: object) -> ScriptRejectedError:
    with pytest.raises(ScriptRejectedError) as caught:
        check(source, **changed)
    return caught.value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_pass(path: Path) -> None:
    check(path.read_bytes())


@pytest.mark.parametrize(
    ("source", "line", "column", "words"),
    [
        ("x = 1\nstage.positon()", 2, 7, "did you mean 'position'?"),
        ("stage.fly()", 1, 7, "it has: home, move_abs"),
        ("def f():\n    (stage\n        .mov_abs(1))", 3, 10, "did you mean 'move_abs'?"),
        ("é = '€'; stage.rea()", 1, 16, "no verb 'rea'"),
        ("stagee.position()", 1, 1, "unknown name 'stagee'; did you mean 'stage'?"),
        ("stage.speed = 3", 1, 7, "cannot be written to"),
        ("if True\n    pass", 1, 8, "invalid syntax: expected ':'"),
        ("import os", 1, 1, "scripts have no operating system"),
        ("import os.path as p", 1, 1, "scripts cannot import 'os.path'"),
        ("import maths", 1, 1, "cannot import 'maths'; did you mean 'math'?"),
        ("import pandas", 1, 1, "allowed are: cmath, collections, collections.abc"),
        ("from math import *", 1, 1, "one by one"),
        ("from . import other", 1, 1, "stands alone"),
        ("from random import _os", 1, 1, "private"),
        ("import random\nrandom._os", 2, 8, "private"),
        ("().__class__", 1, 4, "Python's own inside"),
        ("x = 1\nx.__class__.__mro__", 2, 13, "Python's own inside"),
        ("open('x')", 1, 1, "use emit(name=value)"),
        ("eval('1')", 1, 1, "float(text)"),
        ("import time", 1, 1, "use sleep(seconds)"),
        ("async def f(): pass", 1, 1, "no async"),
        ("emit(3)", 1, 6, "by name"),
        ("emit(power=1, time=2)", 1, 15, "another name"),
        ("return 3", 1, 1, "outside function"),
    ],
)
def test_refused_with_line_column_and_advice(
    source: str, line: int, column: int, words: str
) -> None:
    error = refusal(source)
    assert words in str(error)
    assert (error.line, error.column) == (line, column)
    assert str(error).startswith(f"line {line}, column {column}: ")


@pytest.mark.parametrize(
    "source",
    [
        "",
        '"""Only words."""',
        "from __future__ import annotations\nimport collections.abc\nimport math as m\nm.pi",
        "def scan(stage):\n    stage.anything()\n\nscan(camera)",
        "stage_list = [stage]\nfor s in stage_list:\n    s.move_abs(1)",
        "try:\n    stage.move_abs(1)\nexcept (LimitError, InstrumentError) as e:\n    print(e)",
        "class A:\n    def __init__(self):\n        self._x = 1\n    def f(self):\n"
        "        return super().__init__()",
        "match 3:\n    case [1, *rest]:\n        print(rest)\n    case {'a': b, **more}:\n"
        "        print(b, more)\n    case other:\n        print(other)",
        "total = 0\ndef f(*args, k=1, **kw):\n    global total\n    total += k\n    return args",
        "print([x * y for x in range(3) for y in range(x)], (lambda a, /, *, b: a)(1, b=2))",
        "if (n := 3) > 2:\n    print(n)",
        "with open_it() as f:\n    print(f)\n".replace("open_it", "max"),
        "emit(**{'a': 1})",
        "try:\n    raise ScriptStopped\nexcept ScriptStopped:\n    raise",
        "if __name__ == '__main__':\n    log(parameters['x'])",
        "camera.trigger\r\nstage.home()\r\n",
    ],
)
def test_honest_scripts_pass(source: str) -> None:
    check(source)


def test_an_instrument_outside_the_grant_is_named() -> None:
    error = refusal("laser.read()", withheld=["laser"])
    assert "the instrument 'laser' was not granted to this run" in str(error)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x = 1\ny = '\xff'", "line 2, column 6: a script must be UTF-8; found the byte 0xff"),
        (b"x = 1\nab\0c", "line 2, column 3: a script must be text; found a NUL byte"),
        (b"#" * ((1 << 20) + 1), "a script may have 1048576 bytes; found 1048577"),
        ("#" + "é" * (1 << 19), "a script may have 1048576 bytes; found 1048577"),
        ("x = '\ud800'", "lone surrogate"),
    ],
)
def test_what_is_no_text_is_refused(content: str | bytes, words: str) -> None:
    assert words in str(refusal(content))


@pytest.mark.parametrize(
    "source",
    [
        "(" * 150 + ")" * 150,
        "(" * 5000,
        "-" * 200_000 + "1",
        "x" + ".y" * 200_000,
        "x = " + "not " * 100_000 + "1",
        "lambda: " * 20_000 + "1",
        "[" * 180 + "]" * 180,
        "1" * 100_000,
        "import a" + ".a" * 200_000,
        "a = " + "+".join(["1"] * 100_000),
        "if 1:\n" + "".join(" " * i + "if 1:\n" for i in range(1, 120)) + " " * 120 + "pass",
    ],
)
def test_hostile_nesting_ends_in_a_verdict(source: str) -> None:
    """Refused or passed, but never a crash of the process that checks."""
    with contextlib.suppress(ScriptRejectedError):
        check(source)


def test_a_long_script_is_checked_like_a_short_one() -> None:
    long = "# words\n" * 10_000
    check(long + "stage.home()")
    error = refusal(long + "stage.positon()")
    assert (error.line, error.column) == (10_001, 7)
    assert instruments_used(long + "stage.home()", INSTRUMENTS) == ["stage"]


def test_a_byte_order_mark_is_no_part_of_the_script() -> None:
    assert decode_source(b"\xef\xbb\xbfx = 1") == "x = 1"


def test_instruments_used_are_those_the_script_speaks_of() -> None:
    source = "camera = 3\ndef f():\n    return stage.position()\nprint('power_meter', camera)"
    assert instruments_used(source, INSTRUMENTS) == ["stage"]
