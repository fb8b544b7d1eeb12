"""`ringdaq pipeline` on the shell: what runs by itself, and what speaks with a daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipeline_stand import EEG, FILTER, Pipelines, until

from ringdaq.recorder import describe_file

RINGDAQ = [sys.executable, "-P", "-m", "ringdaq.cli"]
TEXT = """
[[stage]]
name = "board"
type = "simulated_eeg"
channels = 4
rate_hz = 500
{more}
[[stage]]
type = "ring_sink"
stream = "out"
"""
PLUGIN = '[[stage]]\nname = "mine"\ntype = "plugin"\nfile = "plugin.py"\n{more}\n'
FAILS = """
from ringdaq.pipeline import Plugin

class Fails(Plugin):
    name = "fails"
    description = "Fails at each third packet."
    packets = 0

    def process(self, view):
        self.packets += 1
        if self.packets % 3 == 0:
            raise ValueError("every third")
        return view.data
"""
CRASHES = FAILS.replace('raise ValueError("every third")', "import ctypes; ctypes.string_at(0)")


def ringdaq(*arguments: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({} if state is None else {"RINGDAQ_STATE": str(state)})
    return subprocess.run(
        [*RINGDAQ, *arguments],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def write(folder: Path, more: str = "", plugin: str = "") -> str:
    path = folder / "mine.toml"
    path.write_text(TEXT.format(more=more))
    (folder / "plugin.py").write_text(plugin)
    return str(path)


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_pipeline_runs_by_itself_and_is_recorded_from_its_first_sample(tmp_path: Path) -> None:
    file = write(tmp_path)
    data = str(tmp_path / "data")
    done = ringdaq("pipeline", "run", file, "--seconds", "2", "--data", data, "--json")
    assert done.returncode == 0, done.stderr
    found = figures(done)
    counts = found["recording"]["streams"]["out"]
    assert counts["durable_rows"] == found["sources"]["board"]["samples"] > 500
    assert describe_file(found["recording"]["file"])["sealed"]
    shown = ringdaq("pipeline", "run", file, "--seconds", "1")
    assert shown.returncode == 0, shown.stderr
    assert "ring_sink" in shown.stdout
    assert "0 lost" in shown.stderr


def test_ctrl_c_ends_it_in_good_order(tmp_path: Path) -> None:
    command = [*RINGDAQ, "pipeline", "run", write(tmp_path), "--json"]
    command += ["--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: list((tmp_path / "data").glob("*.h5")), "the file")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert json.loads(out)["recording"]["state"] == "sealed"


def test_a_stage_that_loses_packets_is_a_failure(tmp_path: Path) -> None:
    file = write(tmp_path, PLUGIN.format(more='on_error = "restart"'), FAILS)
    done = ringdaq("pipeline", "run", file, "--seconds", "2", "--json")
    found = figures(done)
    stage = found["stages"]["mine"]
    assert done.returncode == 1
    assert found["lost"] == stage["dropped"] > 0
    assert stage["errors"] > 0
    assert "every third" in stage["error"]


def test_a_process_that_dies_is_a_failure(tmp_path: Path) -> None:
    file = write(tmp_path, PLUGIN.format(more=""), CRASHES)
    done = ringdaq("pipeline", "run", file, "--seconds", "60", "--json")
    assert done.returncode == 1, done.stderr
    assert figures(done)["error"] == "its process has died"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[[stage]]\ntype = "bandpas"\n', "did you mean 'bandpass'?"),
        ('[[stage]]\ntype = "to_voltage"\n[[stage]]\ntype = "decimate"\nfactor = 0\n', "factor"),
    ],
)
def test_a_wrong_text_is_told_with_its_line(tmp_path: Path, more: str, said: str) -> None:
    done = ringdaq("pipeline", "run", write(tmp_path, more))
    assert done.returncode == 2
    assert said in done.stderr
    assert "line " in done.stderr


def test_a_wrong_value_is_told(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[[stage]]\ntype = "to_voltage"\n[[stage]]\ntype = "highpass"\ncutoff_hz = 1.0\n'
    )
    done = ringdaq("pipeline", "run", file, "--set", "hipass.cutoff_hz=2")
    assert done.returncode == 2
    assert "did you mean 'highpass'?" in done.stderr
    done = ringdaq("pipeline", "run", file, "--set", "highpass.cutoff_hz=2000")
    assert done.returncode == 2
    assert "2000" in done.stderr


def test_those_of_a_daemon_are_listed_changed_and_asked(start_daemon: Any, tmp_path: Path) -> None:
    daemon = start_daemon(more=EEG.format(more="") + FILTER.format(name="clean", stream="eeg"))
    Pipelines(daemon).await_rows("clean", 1)

    def ask(*arguments: str) -> Any:
        done = ringdaq("pipeline", *arguments, "--json", state=daemon.state)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert [one["name"] for one in ask("list")] == ["clean"]
    assert ask("set", "clean", "band.low_hz=2")["parameters"] == {"band.low_hz": 2}
    assert ask("stats", "clean")["stages"]["band"]["packets"] > 0
    assert ask("pause", "clean")["state"] == "paused"
    assert ask("resume", "clean")["state"] == "running"
    assert ask("start", write(tmp_path))["name"] == "mine"
    Pipelines(daemon).await_rows("out", 1)
    assert "out" in ringdaq("streams", state=daemon.state).stdout
    assert ask("stop", "mine")["state"] == "stopped"
    refused = ringdaq("pipeline", "stop", "clear", state=daemon.state)
    assert refused.returncode == 2
    assert "did you mean 'clean'?" in refused.stderr
