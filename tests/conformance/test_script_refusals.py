"""What is refused before anything moves, in every language."""

from __future__ import annotations

import math

import pytest
from script_stand import VERBS, Runner, both

from ringdaq.errors import (
    ScriptRejectedError,
)
from ringdaq.scripts import (
    DEFAULT_MODULES,
    Language,
    check_script,
    instruments_used,
    language_of,
)

REFUSED = {
    "a mistyped verb": (
        both("\nstage.positon()", "\nstage.positon();"),
        "line 2, column 7: the instrument 'stage' has no verb 'positon'; did you mean 'position'?",
    ),
    "a mistyped verb in a closure": (
        both("f = lambda: stage.positon()", "let f=|| 0+ stage.positon();"),
        "line 1, column 19: the instrument 'stage' has no verb 'positon'",
    ),
    "a mistyped verb of what main asks for": (
        both(
            "x = 1\ndef main(n: int, stage: Movable, lamp: Readable):\n    stage.positon(n)",
            "/// stage: Movable\n/// lamp: Readable\nfn main(n, stage, lamp) { stage.positon(n) }",
        ),
        "the instrument 'stage' has no verb 'positon'; did you mean 'position'?",
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


MAIN = both(
    "def main(axis: Movable, n: int):\n    axis.positon(n)",
    "/// axis: Movable\nfn main(axis, n) { axis.positon(n); }",
)


def test_a_role_has_the_verbs_of_what_fills_it(language: Language) -> None:
    def check(verbs: list[str]) -> None:
        check_script(
            MAIN[language], instruments={}, modules=(), language=language, roles={"axis": verbs}
        )

    check(["positon"])
    with pytest.raises(ScriptRejectedError, match=r"line 2, .*did you mean 'position'"):
        check(["position", "move_abs"])


def test_a_role_that_nobody_fills_yet_is_not_looked_into(language: Language) -> None:
    check_script(MAIN[language], instruments=VERBS, modules=(), language=language)


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
