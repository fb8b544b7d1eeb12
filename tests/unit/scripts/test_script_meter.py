"""The meter woven into a script: lines, budget, stops and progress, without a process."""

from __future__ import annotations

import ast
import itertools
import os

import pytest

from ringdaq.scripts import ticks
from ringdaq.scripts.interrupts import LimitReached, ScriptStopped
from ringdaq.scripts.meter import Meter
from ringdaq.scripts.page import STOP, STOP_ASKED, create_page
from ringdaq.scripts.progress import CountedEnumerate, CountedZip, Progress

INSTRUMENTS = {"stage": ("move_abs",)}


class Script:
    """A woven script that notes line and progress at each call of `stage.move_abs`."""

    def __init__(self, source: str, operations: int = 10_000, total: int = 10**9) -> None:
        descriptor, self.page = create_page()
        os.close(descriptor)
        self.limits: list[object] = []
        limits = {"operations": operations, "total_operations": total, "wall_secs": 1.0}
        self.meter = Meter(limits, self.page, self.limits.append)
        self.progress = Progress(self.page)
        self.notes: list[tuple[int, float | None]] = []
        self.names: dict[str, object] = {"stage": self, "sleep": self.move_abs, "stop": self.stop}
        self.names |= {"enumerate": CountedEnumerate, "zip": CountedZip, "count": itertools.count}
        self._code = compile(ticks.weave(ast.parse(source), INSTRUMENTS), "script", "exec")

    def move_abs(self, position: object = None) -> None:
        self.meter.check()
        self.notes.append((self.page.line, self.page.fraction))
        self.meter.refill()

    def stop(self) -> None:
        self.page.words[STOP] = STOP_ASKED

    def run(self) -> Script:
        meter, progress = self.meter, self.progress
        woven = {
            ticks.TICK: meter.tick,
            ticks.SHIELD: meter.shield,
            ticks.UNSHIELD: meter.unshield,
            ticks.HANDLE: meter.handle,
            ticks.UNHANDLE: meter.unhandle,
            ticks.EACH: progress.each,
            ticks.ENTER: progress.enter,
            ticks.LEAVE: progress.leave,
        }
        exec(self._code, {**self.names, **woven})
        return self

    @property
    def lines(self) -> list[int]:
        return [line for line, _ in self.notes]

    @property
    def percents(self) -> list[int | None]:
        return [None if f is None else round(100 * f) for _, f in self.notes]


def test_lines_are_those_of_the_source() -> None:
    script = Script(
        '"""Words."""\n'
        "def go():\n"
        '    """Words."""\n'
        "    stage.move_abs(1)\n"
        "for i in range(2):\n"
        "    if i:\n"
        "        stage.move_abs(2)\n"
        "    else:\n"
        "        go()\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    stage.move_abs(3)\n"
        "finally:\n"
        "    stage.move_abs(4)\n"
        "with_lambda = lambda: stage.move_abs(5)\n"
        "[with_lambda() for _ in 'x']\n"
    ).run()
    assert script.lines == [4, 7, 13, 15, 16]


@pytest.mark.parametrize(
    ("source", "percents"),
    [
        ("for i in range(4):\n    stage.move_abs(i)", [0, 25, 50, 75]),
        ("for i in [3, 1]:\n    for j in range(2):\n        stage.move_abs(i)", [0, 25, 50, 75]),
        (
            "for _ in range(2):\n  stage.move_abs(1)\nfor _ in range(2):\n  sleep(1)",
            [0, 25, 50, 75],
        ),
        (
            "def scan(n):\n    for i in range(n):\n        stage.move_abs(i)\nscan(2)\nscan(2)",
            [0, 25, 50, 75],
        ),
        (
            "for _ in range(2):\n  for a in 'xy':\n    stage.move_abs(1)\n  for b in 'xy':\n"
            "    stage.move_abs(2)",
            [0, 12, 25, 38, 50, 62, 75, 88],
        ),
        ("for i, x in enumerate('ab'):\n    stage.move_abs(i)", [0, 50]),
        ("for a, b in zip('abcd', [1, 2]):\n    stage.move_abs(b)", [0, 50]),
        ("x = 0\nwhile x < 2:\n    stage.move_abs(x)\n    x += 1", [None, None]),
        ("for i in count():\n    stage.move_abs(i)\n    if i: break", [None, None]),
        (
            "for i in count():\n    for j in range(2):\n        stage.move_abs(i)\n"
            "    if i: break\nfor j in range(2):\n    stage.move_abs(j)",
            [None, None, None, None, 50, 75],
        ),
        ("for x in range(100):\n    y = x\nfor i in 'ab':\n    stage.move_abs(i)", [0, 50]),
        ("stage.move_abs(0)\nfor i in 'ab':\n    stage.move_abs(i)", [None, 0, 50]),
        (
            "for i in range(4):\n    stage.move_abs(i)\n    if i == 1: break\n"
            "for i in range(2):\n    stage.move_abs(i)",
            [0, 12, 50, 75],
        ),
        (
            "try:\n    for i in range(4):\n        stage.move_abs(i)\n"
            "        if i: raise ValueError\nexcept ValueError:\n    stage.move_abs(9)",
            [0, 25, 25],
        ),
    ],
)
def test_progress_comes_from_loops(source: str, percents: list[int | None]) -> None:
    assert Script(source).run().percents == percents


def test_progress_never_falls_whatever_generators_do() -> None:
    script = Script(
        "def scan(n):\n"
        "    for i in range(n):\n"
        "        stage.move_abs(i)\n"
        "        yield i\n"
        "a, b = scan(5), scan(3)\n"
        "for x in range(3):\n"
        "    next(a); next(b); stage.move_abs(x)\n"
    ).run()
    seen = [f for _, f in script.notes if f is not None]
    assert seen == sorted(seen)
    assert all(0.0 <= f <= 1.0 for f in seen)


def test_the_scripts_own_word_counts_more_than_its_loops() -> None:
    script = Script("tell(0.5)\nfor i in range(2):\n    stage.move_abs(i)\n    tell(0.5 + i / 4)")
    script.names["tell"] = script.progress.state
    assert script.run().percents == [50, 50]
    assert script.page.fraction == 0.75


def test_the_budget_is_exact_and_starts_anew_at_each_verb() -> None:
    Script("for _ in range(99):\n    pass", operations=100).run()
    with pytest.raises(LimitReached, match="100 operations between two verbs; used up at line 2"):
        Script("for _ in range(100):\n    pass", operations=100).run()
    loop = "for _ in range(50):\n    for _ in range(90):\n        pass\n    stage.move_abs(1)"
    assert len(Script(loop, operations=100).run().notes) == 50


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "while True:\n    ''",
        "while True:\n    ...",
        "[x for x in count()]",
        "sum(0 for x in count() for y in ())",
        "{x: x for x in count() if x < 0}",
        "f = lambda: 0\nwhile f() == 0: f()",
        "max(count(), key=lambda x: x)",
        "while True:\n    try:\n        x\n    except: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: continue",
        "try:\n    while True: pass\nfinally:\n    while True: pass",
        "class A:\n    def __exit__(self, *a):\n        while True: pass\n"
        "    def __enter__(self): pass\nwith A():\n    while True: pass",
        "def f():\n    try:\n        while True: pass\n    finally:\n        f()\nf()",
        "def g():\n    while True: yield 1\nfor x in g(): pass",
        "while True:\n    for x in range(10): continue",
    ],
)
def test_no_loop_escapes_the_budget(source: str) -> None:
    with pytest.raises((LimitReached, RecursionError)):
        Script(source, operations=1000).run()


def test_a_stop_is_no_exception() -> None:
    script = Script("stop()\ntry:\n    stage.move_abs(0)\nexcept Exception:\n    stage.move_abs(1)")
    with pytest.raises(ScriptStopped):
        script.run()
    assert script.notes == []


def test_a_swallowed_stop_comes_again() -> None:
    script = Script(
        "stop()\n"
        "while True:\n"
        "    try:\n"
        "        stage.move_abs(1)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    with pytest.raises(ScriptStopped):
        script.run()
    assert script.notes == []


def test_a_stop_lets_finally_and_except_blocks_tidy_up() -> None:
    script = Script(
        "def tidy():\n"
        "    for _ in range(3):\n"
        "        stage.move_abs(0)\n"
        "try:\n"
        "    stop()\n"
        "    stage.move_abs(1)\n"
        "except BaseException:\n"
        "    stage.move_abs(2)\n"
        "    raise\n"
        "finally:\n"
        "    tidy()\n"
        "stage.move_abs(9)\n"
    )
    with pytest.raises(ScriptStopped):
        script.run()
    assert script.lines == [8, 3, 3, 3]


def test_a_stop_waits_for_the_end_of_a_finally_block() -> None:
    script = Script(
        "try:\n    pass\nfinally:\n    stop()\n    stage.move_abs(1)\n    stage.move_abs(2)\n"
        "stage.move_abs(3)"
    )
    with pytest.raises(ScriptStopped):
        script.run()
    assert script.lines == [5, 6]


def test_a_with_block_of_the_scripts_own_closes_after_a_stop() -> None:
    script = Script(
        "class Open:\n"
        "    def __enter__(self): pass\n"
        "    def __exit__(self, *_):\n"
        "        stage.move_abs(0)\n"
        "with Open():\n"
        "    stop()\n"
        "    stage.move_abs(1)\n"
    )
    with pytest.raises(ScriptStopped):
        script.run()
    assert script.lines == [4]


def test_scripts_cannot_reach_the_meter() -> None:
    for name in (ticks.TICK, ticks.SHIELD, ticks.EACH):
        assert not name.isidentifier()
