"""What goes to stdout is for machines as much as for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
import pytest

from ringdaq.cli.follow import Output
from ringdaq.cli.options import parse_parameters
from ringdaq.cli.output import data, data_json, data_text, plain, say, table
from ringdaq.cli.root import COMMANDS
from ringdaq.model import RunState


@dataclass
class Reading:
    value: float
    state: RunState


def test_plain_values_pass_through_json_unchanged() -> None:
    value = {
        "reading": Reading(0.5, RunState.RUNNING),
        "array": np.arange(3, dtype=np.int16),
        "rate": Fraction(1, 3),
        "path": Path("a/b"),
        "nothing": None,
        "not finite": [float("nan"), float("inf"), -np.inf],
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "reading": {"value": 0.5, "state": "running"},
        "array": [0, 1, 2],
        "rate": "1/3",
        "path": "a/b",
        "nothing": None,
        "not finite": ["NaN", "Infinity", "-Infinity"],
    }


EVIL = "a\tb\n\x1b]0;title\x07\x9b31m\r"
SEEN = "a\tb\n\\x1b]0;title\\x07\\x9b31m\\x0d\n"


def test_nothing_that_is_printed_steers_the_terminal(capsys) -> None:
    data(EVIL)
    say(EVIL)
    assert capsys.readouterr() == (SEEN, SEEN)
    data_json({"x": EVIL})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"x": EVIL}
    assert printed.rstrip("\n").isprintable()


def test_a_text_goes_into_a_file_unchanged_and_onto_a_screen_visible(capsys, monkeypatch) -> None:
    data_text(EVIL)
    assert capsys.readouterr().out == EVIL + "\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    data_text(EVIL)
    assert capsys.readouterr().out == SEEN


def test_a_table_lines_its_columns_up() -> None:
    assert table(["a", "bb"], [(1, "x"), (None, 0.5)]) == "a  bb\n1  x\n-  0.5"


def test_parameters_are_json_where_they_can_be() -> None:
    pairs = ("steps=3", "step=0.5", "name=left arm", "on=true", "list=[1, 2]", "eq=a=b")
    assert parse_parameters(pairs) == {
        "steps": 3,
        "step": 0.5,
        "name": "left arm",
        "on": True,
        "list": [1, 2],
        "eq": "a=b",
    }


@pytest.mark.parametrize("pair", ["steps", "=3", "a b=3"])
def test_a_parameter_without_a_name_is_refused(pair) -> None:
    with pytest.raises(click.BadParameter, match="KEY=VALUE"):
        parse_parameters((pair,))


def test_output_is_passed_on_once_also_when_its_beginning_was_cut() -> None:
    written: list[str] = []
    output = Output(written.append)
    for text in ["one\n", "one\ntwo\n", "one\ntwo\n", "two\nthree\n", "new\n"]:
        output.update(text)
    assert "".join(written) == "one\ntwo\nthree\nnew\n"


def test_the_list_of_commands_says_what_each_says_itself(shell) -> None:
    for name in COMMANDS:
        result = shell(name, "--help")
        assert result.exit_code == 0, name
        assert f"Usage: root {name}" in result.stdout
