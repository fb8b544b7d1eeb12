"""`ringdaq bench` measures, and judges a rig by what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringdaq.cli import bench_measures
from ringdaq.cli.bench_measures import Machine
from ringdaq.cli.bench_rig import Need, judge, need_of
from ringdaq.config import load_rig

RIG = """
[rig]
name = "small"

[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
options = { channels = 8, rate_hz = 1000 }

[[instrument]]
name = "camera"
driver = "simulated.camera"
simulated = true
options = { width = 64, height = 32, exposure = 0.01 }

[[instrument]]
name = "power_meter"
driver = "simulated.power_meter"
simulated = true
poll_hz = 20

[[instrument]]
name = "esp300"
driver = "newport.esp300"
poll_hz = 5
options = { port = "/dev/does-not-exist", axis = 1 }

[stream.eeg]
capacity_bytes = "3 MiB"

[stream.camera]
capacity_bytes = "2 MiB"
"""
FAST = Machine(1e6, 1e9, 30.0, 90.0, 3e8)


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    return path


def test_the_needs_of_a_rig_are_those_of_its_streams(rig: Path) -> None:
    need = need_of(load_rig(rig))
    assert need.rows_per_sec == 25
    # A frame comes with its number and its exposure.
    samples, frames, rows = 1000 * (8 + 8 * 4), 100 * (8 + 64 * 32 * 2 + 16), 25 * 16
    assert need.bytes_per_sec == pytest.approx(samples + frames + rows)
    assert need.rings_bytes >= 5 << 20
    assert need.not_counted == ("esp300",)


@pytest.mark.parametrize(
    ("need", "enough"),
    [
        (Need(10, 18e6, 1 << 20, ()), [True, True, True, True]),
        (Need(10, 2e9, 1 << 20, ()), [False, True, False, True]),
        (Need(2e6, 18e6, 1 << 60, ()), [True, False, True, False]),
    ],
)
def test_the_verdict_compares_each_need(tmp_path: Path, need: Need, enough: list[bool]) -> None:
    assert [verdict.enough for verdict in judge(need, FAST, tmp_path)] == enough


def test_the_verdict_says_both_numbers(tmp_path: Path) -> None:
    texts = [verdict.text for verdict in judge(Need(10, 18e6, 1 << 20, ()), FAST, tmp_path)]
    assert texts[0] == "this rig needs 18 MB/s into rings, this machine does 1,000"


def test_a_quick_look_measures_everything(shell, tmp_path: Path, rig: Path) -> None:
    arguments = ("--quick", "--rings", tmp_path, "--recordings", tmp_path, "--json")
    result = shell("bench", "--rig", rig, *arguments)
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["ok"] else 1)
    assert all(value > 0 for value in report["machine"].values())
    assert len(report["verdicts"]) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["rig.toml"]


def test_too_little_ends_with_exit_code_1(shell, rig: Path, monkeypatch) -> None:
    slow = Machine(1.0, 1.0, 30.0, 90.0, 1.0)
    monkeypatch.setattr(bench_measures, "measure", lambda *_arguments, **_options: slow)
    result = shell("bench", "--rig", rig)
    assert result.exit_code == 1
    assert "too little: this rig needs" in result.stdout
    assert "esp300" in result.stderr


def test_rings_that_cannot_be_made_end_with_exit_code_4(shell, tmp_path: Path) -> None:
    result = shell("bench", "--quick", "--rings", tmp_path / "none")
    assert result.exit_code == 4
    assert str(tmp_path / "none") in result.stderr
