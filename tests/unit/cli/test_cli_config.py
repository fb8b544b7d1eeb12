"""`ringdaq config check | schema | show`."""

from __future__ import annotations

import json

import pytest

RIG = """\
[rig]
name = "small"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 5.0] }
"""


@pytest.fixture
def rig(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    return path


def test_a_right_rig_is_said_to_be_right(shell, rig) -> None:
    result = shell("config", "check", rig)
    assert (result.exit_code, result.stdout) == (0, "")
    assert str(rig) in result.stderr


def test_check_says_how_much_memory_the_rings_want(shell, rig) -> None:
    lines = shell("config", "check", rig, "--rings").stdout.splitlines()
    assert lines[0].split() == ["stream", "ring", "holds", "at_rows_per_sec"]
    assert lines[-1].startswith("all rings: ")


def test_check_tells_machines_what_is_in_the_rig(shell, rig) -> None:
    result = shell("config", "check", rig, "--json")
    found = json.loads(result.stdout)
    assert (found["rig"], found["instruments"]) == ("small", ["stage"])
    [ring] = found["rings"]
    assert ring["stream"] == "stage"
    assert found["rings_bytes"] == ring["file_bytes"] > ring["capacity_bytes"]
    assert found["free_bytes"] > 0


@pytest.mark.parametrize(
    ("wrong", "key", "line"),
    [
        (RIG.replace("simulated = true\n", ""), "simulated", 6),
        (RIG.replace("limits", "limts"), "limts", 8),
        (RIG.replace("[0.0, 5.0]", "[5.0, 0.0]"), "position", 8),
        (RIG.replace("simulated.stage", "simulated.stag"), "simulated.stag", 6),
    ],
)
def test_a_wrong_rig_is_told_with_file_key_and_line(shell, rig, wrong, key, line) -> None:
    rig.write_text(wrong)
    result = shell("config", "check", rig)
    assert result.exit_code == 2
    assert key in result.stderr
    assert f"line {line}" in result.stderr
    assert str(rig) in result.stderr


def test_a_missing_rig_is_told(shell, tmp_path) -> None:
    result = shell("config", "check", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_show_tells_where_each_setting_comes_from(shell, rig) -> None:
    rows = json.loads(shell("config", "show", rig, "--json").stdout)
    by_key = {row["key"]: row for row in rows}
    assert by_key["instrument[0].name"] == {
        "key": "instrument[0].name",
        "value": "stage",
        "origin": "file",
    }
    assert by_key["daemon.grpc_port"]["origin"] == "default"


def test_the_schema_is_json(shell) -> None:
    assert json.loads(shell("config", "schema").stdout)["type"] == "object"
