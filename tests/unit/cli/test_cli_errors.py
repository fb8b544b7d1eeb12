"""A failure is one line on stderr and a documented exit code."""

from __future__ import annotations

import pytest
from canned_daemon import serving

from ringdaq.cli.exit_codes import EXIT_CODES, MEANINGS, exit_code
from ringdaq.errors import LimitError, RingdaqError, error_classes


def test_every_error_has_a_documented_exit_code() -> None:
    assert set(EXIT_CODES) == set(error_classes().values())
    assert set(EXIT_CODES.values()) <= set(MEANINGS)


def test_no_error_ends_with_success() -> None:
    assert 0 not in EXIT_CODES.values()
    assert exit_code(RingdaqError("x")) == 1


def test_without_a_daemon_the_message_says_how_to_start_one(shell, state) -> None:
    result = shell("instruments")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "ringdaq daemon" in result.stderr
    assert str(state) in result.stderr


def test_a_daemon_that_died_counts_as_unreachable(shell, state) -> None:
    with serving(state, {}):
        pass
    result = shell("instruments")
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1


def test_debug_shows_the_traceback(shell, state) -> None:
    result = shell("--debug", "instruments")
    assert result.exit_code == 3
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("arguments", [["no-such-command"], ["read"], ["move", "stage", "far"]])
def test_a_wrong_command_line_exits_with_2(shell, arguments) -> None:
    assert shell(*arguments).exit_code == 2


def test_an_error_of_the_daemon_keeps_its_words_and_its_code(shell, state) -> None:
    def refuse(_params):
        raise LimitError("stage must stay within 0 to 25 mm; found 99", instrument="stage")

    stage = {"name": "stage", "verbs": ["move_abs", "position"], "unit": "mm"}
    answers = {"instruments.list": lambda _: [stage], "instruments.call": refuse}
    with serving(state, answers):
        result = shell("move", "stage", "99")
    assert result.exit_code == 2
    assert "error: stage must stay within 0 to 25 mm; found 99" in result.stderr
    assert result.stdout == ""
