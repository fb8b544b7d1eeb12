"""`ringdaq instruments | read | move | panic` against a daemon with canned answers."""

from __future__ import annotations

import json

from canned_daemon import serving

STAGE = {
    "name": "stage",
    "driver": "simulated.stage",
    "connected": True,
    "simulated": True,
    "capabilities": ["Movable", "Safe"],
    "verbs": ["move_abs", "move_rel", "position", "stop", "wait_settled"],
    "unit": "mm",
    "error": None,
}
METER = {
    **STAGE,
    "name": "meter",
    "connected": False,
    "capabilities": ["Readable"],
    "verbs": ["read"],
    "error": "no answer",
}


def answers(position: float = 1.25) -> dict:
    values = {"position": position, "read": 0.5}
    return {
        "instruments.list": lambda _: [STAGE, METER],
        "instruments.call": lambda p: {"value": values.get(p["verb"])},
    }


def test_the_table_says_what_failed_and_what_is_simulated(shell, state) -> None:
    with serving(state, answers()):
        result = shell("instruments")
    assert result.exit_code == 0
    assert "connected, simulated" in result.stdout
    assert "failed: no answer" in result.stdout


def test_json_is_one_document(shell, state) -> None:
    with serving(state, answers()):
        result = shell("instruments", "--json")
    assert [i["name"] for i in json.loads(result.stdout)] == ["stage", "meter"]


def test_read_uses_the_reading_or_the_position(shell, state) -> None:
    with serving(state, answers()):
        assert shell("read", "stage").stdout == "1.25 mm\n"
        value = json.loads(shell("read", "meter", "--json").stdout)
    assert value == {"instrument": "meter", "value": 0.5, "unit": "mm"}


def test_move_waits_until_it_is_at_rest_and_prints_what_was_read_back(shell, state) -> None:
    with serving(state, answers(position=-2.0)) as daemon:
        result = shell("move", "stage", "-2", "--timeout", "7")
    assert result.exit_code == 0
    assert result.stdout == "-2.0 mm\n"
    calls = [(p["verb"], p["args"]) for m, p in daemon.asked if m == "instruments.call"]
    assert calls == [("move_abs", [-2.0]), ("wait_settled", [7.0]), ("position", [])]


def test_an_unknown_name_lists_the_known_ones(shell, state) -> None:
    with serving(state, answers()):
        result = shell("read", "stag")
    assert result.exit_code == 2
    assert "stage, meter" in result.stderr


def test_panic_fails_where_an_instrument_is_not_safe(shell, state) -> None:
    outcome = {"stage": "safe", "meter": "no answer"}
    with serving(state, {"panic": lambda _: {"instruments": outcome}}):
        result = shell("panic")
        assert json.loads(shell("panic", "--json").stdout) == outcome
    assert result.exit_code == 1
    assert "meter       no answer" in result.stdout
