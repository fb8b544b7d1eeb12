"""What scripts may import works although their file system is closed."""

from __future__ import annotations

from typing import Any

import pytest

from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, Outcome, ScriptProcess


class Host:
    """A daemon's side that keeps what was printed."""

    def __init__(self) -> None:
        self.text = ""

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text


def run(source: str, modules: Any = DEFAULT_MODULES) -> tuple[Outcome, str]:
    host: Any = Host()
    process = ScriptProcess(
        source,
        name="imports.py",
        parameters={},
        instruments={},
        limits=Limits(),
        modules=[*modules],
        host=host,
    )
    process.start()
    outcome = process.wait(60.0)
    assert outcome is not None
    return outcome, host.text


@pytest.mark.parametrize("name", DEFAULT_MODULES)
def test_each_default_module_imports(name: str) -> None:
    assert run(f"import {name}")[0] == Outcome(RunState.COMPLETED, None, 1)


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("import datetime as d\nprint(d.datetime.strptime('2024', '%Y').year)", "2024"),
        ("import datetime as d\nprint(d.date(2024, 1, 2).strftime('%A'))", "Tuesday"),
        ("print('\\N{DEGREE SIGN}C')", "°C"),
        ("größe = 2\nprint(dict(größe=größe))", "{'größe': 2}"),
        ("print('é'.encode('cp1252'), bytes('x', 'utf-8-sig'))", r"b'\xe9' b'\xef\xbb\xbfx'"),
        ("from random import SystemRandom\nprint(0 <= SystemRandom().random() < 1)", "True"),
        ("from statistics import NormalDist\nprint(len(NormalDist().samples(3)))", "3"),
        (
            "from functools import singledispatch\n"
            "@singledispatch\ndef f(x): return 'other'\n"
            "@f.register\ndef _(x: int): return 'int'\n"
            "print(f(1), f(''))",
            "int other",
        ),
    ],
)
def test_what_python_imports_by_itself_is_there(source: str, printed: str) -> None:
    outcome, text = run(source)
    assert outcome.error is None
    assert text == printed + "\n"


def test_local_time_is_that_of_the_machine() -> None:
    from datetime import datetime

    source = "import datetime\nprint(datetime.datetime(2024, 7, 1).astimezone().utcoffset())"
    offset = datetime(2024, 7, 1).astimezone().utcoffset()
    assert run(source)[1] == f"{offset}\n"


def test_the_parts_of_numpy_that_it_imports_late() -> None:
    source = """
import numpy as np
print(np.fft.rfft(np.ones(4)).real, np.random.default_rng(1).integers(0, 9, 3).shape)
print(np.linalg.eigvalsh(np.eye(2)), np.polynomial.Polynomial([1, 2])(1), np.ma.masked_less([1], 2))
"""
    outcome, text = run(source, ["numpy"])
    assert outcome.error is None
    assert text.splitlines() == ["[4. 0. 0.] (3,)", "[1. 1.] 3.0 [--]"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("no_such_module", "No module named 'no_such_module'"), ("antigravity", "scripts cannot")],
)
def test_what_cannot_be_imported_is_told_at_its_line(name: str, words: str) -> None:
    outcome, _ = run(f"x = 1\nimport {name}", ["no_such_module"])
    assert outcome.line == 2
    assert outcome.error is not None
    assert words in str(outcome.error["message"])
