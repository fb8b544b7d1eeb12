"""The typed entry point: what fits, and what is refused before anything moves."""

import pytest

from ringdaq.errors import GrantError, LimitError, MissingCapabilityError, ScriptRejectedError
from ringdaq.instruments.capabilities import VERBS
from ringdaq.scripts import Offer, asked_for, bind, check_script
from ringdaq.scripts.language import CAPABILITIES

RIG = {
    "stage": Offer(("Movable", "Safe"), "mm", {"position": (0.0, 50.0)}),
    "stage_y": Offer(("Movable",), "deg"),
    "meter": Offer(("Readable",), "W"),
}
SOURCE = """\
def main(stage: Movable, points: int = 5, *, step: float = 0.5, note: str = "", plain=None):
    for i in range(points):
        stage.move_abs(i * step)
"""


def test_the_capabilities_that_scripts_may_name_are_those_of_instruments():
    assert sorted(VERBS) == sorted(CAPABILITIES)


def test_instruments_bind_by_their_names_and_values_by_theirs():
    binding = bind(SOURCE, {"points": 3, "step": 2}, RIG, None)
    assert binding.instruments == {"stage": "stage"}
    assert binding.values == {"points": 3, "step": 2.0}
    assert binding.defaults == {"note": "", "plain": None}


def test_a_role_may_be_filled_by_an_instrument_of_another_name():
    assert bind(SOURCE, {"stage": "stage_y"}, RIG, None).instruments == {"stage": "stage_y"}


@pytest.mark.parametrize(
    "source", ["stage.position()\n", "def main():\n    pass\n\nmain()\n", "x = 1\n"]
)
def test_a_script_that_calls_main_itself_has_no_entry_point(source):
    assert bind(source, {"anything": 1}, RIG, None) is None


@pytest.mark.parametrize(
    ("given", "granted", "error", "words"),
    [
        ({"stage": "meter"}, None, MissingCapabilityError, "needs a Movable as 'stage'; meter is"),
        ({"stage": "laser"}, None, ScriptRejectedError, "Movable are: stage, stage_y"),
        ({"stage": 5}, None, ScriptRejectedError, "no instrument 5"),
        ({}, ["meter"], GrantError, "not granted the instrument 'stage'"),
        ({"points": 2.5}, None, ScriptRejectedError, "must be a int; found 2.5"),
        ({"points": True}, None, ScriptRejectedError, "must be a int; found True"),
        ({"step": "x"}, None, ScriptRejectedError, "must be a float"),
        ({"pionts": 1}, None, ScriptRejectedError, "main has no parameter 'pionts'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_line(given, granted, error, words):
    with pytest.raises(error, match=words) as caught:
        bind(SOURCE, given, RIG, granted)
    assert "line 1" in str(caught.value)


def test_a_value_without_default_must_be_given():
    with pytest.raises(ScriptRejectedError, match="start the run with a int") as caught:
        bind("x = 1\ndef main(n: int):\n    pass\n", {}, RIG, None)
    assert caught.value.line == 2


def test_parameters_that_have_no_name_are_refused():
    with pytest.raises(ScriptRejectedError, match="cannot be given by name"):
        bind("def main(*all):\n    pass\n", {}, RIG, None)


def test_verbs_of_mains_instruments_are_checked_at_upload():
    source = SOURCE.replace("move_abs", "move_asb")
    with pytest.raises(ScriptRejectedError, match="did you mean 'move_abs'") as caught:
        check_script(source, instruments={"stage": ("move_abs",)}, modules=())
    assert caught.value.line == 3
    with pytest.raises(ScriptRejectedError, match="did you mean 'Movable'"):
        check_script(SOURCE.replace("Movable", "Movible"), instruments={}, modules=())


WANTS = {
    "python": "def main(stage: Movable[{}], n: int = 2):\n    pass\n",
    "rhai": "/// It moves.\n/// stage: Movable[{}]\n/// n: int = 2\nfn main(stage, n) {{\n}}\n",
}


@pytest.mark.parametrize("language", WANTS)
def test_a_unit_and_bounds_are_kept_to(language):
    def fit(wanted, name="stage"):
        return bind(WANTS[language].format(wanted), {"stage": name}, RIG, None, language)

    assert fit('"mm", 0, 50').order == ["stage", "n"]
    assert fit("10, 20").instruments == {"stage": "stage"}
    assert fit('"deg", -1000, 1000', "stage_y").defaults == {"n": 2}
    with pytest.raises(ScriptRejectedError, match="'stage' in 'um'; stage counts in 'mm'"):
        fit('"um"')
    with pytest.raises(LimitError, match="from 0 to 60; stage may go from 0 to 50"):
        fit('"mm", 0, 60')
    with pytest.raises(ScriptRejectedError, match="takes a unit, two bounds, or both"):
        fit("20, 10")


@pytest.mark.parametrize("language", WANTS)
def test_what_main_asks_for_is_told_in_a_line(language):
    asked = asked_for(WANTS[language].format('"mm", 0, 20.5'), language)
    assert asked == "stage: Movable['mm', 0, 20.5], n: int = 2"
    assert asked_for("", language) == ""


def test_values_without_a_type_or_a_default_are_told_too():
    assert asked_for(SOURCE, "python") == (
        "stage: Movable, points: int = 5, step: float = 0.5, note: str = '', plain = None"
    )
    assert asked_for("fn main(a, b) {\n}\n", "rhai") == "a, b"


def test_a_capability_without_bounds_takes_none():
    source = "def main(meter: Readable[0, 1]):\n    pass\n"
    with pytest.raises(ScriptRejectedError, match="a Readable has no bounds"):
        bind(source, {}, RIG, None)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"stage": "meter"}, MissingCapabilityError, "line 1, .*needs a Movable as 'stage'"),
        ({"n": 2.5}, ScriptRejectedError, "line 2, .*must be a int; found 2.5"),
        ({"m": 1}, ScriptRejectedError, "line 3: main has no parameter 'm'; it has: stage, n"),
        ({}, ScriptRejectedError, "line 3, column 1: main needs 'plain'"),
    ],
)
def test_what_does_not_fit_a_rhai_script_is_refused_with_the_line(given, error, words):
    source = "/// stage: Movable\n/// n: int = 2\nfn main(stage, n) {\n}\n"
    if not given:
        source = source.replace("stage, n", "stage, plain")
    with pytest.raises(error, match=words):
        bind(source, given, RIG, None, "rhai")


@pytest.mark.parametrize(
    "source", ["stage.position();", "fn main() {\n}\nmain();\n", "fn other() {\n}\n"]
)
def test_a_rhai_script_that_calls_main_itself_has_no_entry_point(source):
    assert bind(source, {"anything": 1}, RIG, None, "rhai") is None


def test_a_rhai_parameter_that_is_stated_wrongly_is_refused():
    with pytest.raises(ScriptRejectedError, match=r"line 1, .*as in '/// n: int = 5'"):
        bind("/// n: int = = 5\nfn main(n) {\n}\n", {}, RIG, None, "rhai")
