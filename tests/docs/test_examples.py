"""Every example is right, and does what it is for."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

RINGDAQ = [sys.executable, "-P", "-m", "ringdaq.cli"]
RIGS = sorted((ROOT / "examples/rigs").glob("*.toml"))
RUN_A_PIPELINE = ROOT / "docs/how-to/run-a-pipeline.md"
SCRIPTS = sorted((ROOT / "examples/scripts").glob("*.*"))


def ringdaq(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RINGDAQ, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
    )


def test_there_are_examples() -> None:
    assert {"demo.toml"} <= {p.name for p in RIGS}
    names = ("simple_scan", "triggered_acquisition", "multi_instrument")
    assert {n + end for n in names for end in (".py", ".rhai")} <= {p.name for p in SCRIPTS}


@pytest.mark.parametrize("rig", RIGS, ids=lambda p: p.name)
def test_an_example_rig_is_right(rig: Path) -> None:
    done = ringdaq("config", "check", rig)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
@pytest.mark.slow
def test_an_example_script_runs_on_the_demo_rig(script: Path, tmp_path: Path) -> None:
    rig = ROOT / "examples/rigs/demo.toml"
    done = ringdaq("run", script, "--rig", rig, "--data", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["state"] == "completed"
    recording = status["recording"]
    assert recording["state"] == "sealed"
    assert Path(recording["file"]).parent == tmp_path
    for name, counts in recording["streams"].items():
        assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"], name


@pytest.mark.parametrize(
    "command",
    [
        line
        for block in blocks(RUN_A_PIPELINE)
        for line in block.text.splitlines()
        if line.startswith("ringdaq pipeline run examples/pipelines/simulated_eeg.toml")
    ],
)
@pytest.mark.slow
def test_a_pipeline_runs_as_the_page_says(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    done = ringdaq(*shlex.split(command)[1:], "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["lost_samples"], found["error"]) == (0, 0, "")
    assert ("recording" in found) == ("--data" in command)
    for name, counts in found.get("recording", {}).get("streams", {}).items():
        assert counts["produced_rows"] == counts["durable_rows"] > 0, name
