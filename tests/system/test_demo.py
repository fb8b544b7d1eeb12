"""The demo: one command, a whole laboratory, a file, and nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from processes import alive, described, left_after

DEMO = [sys.executable, "-P", "-m", "ringdaq.cli", "demo"]
DEADLINE_SECS = 60


def run_demo(directory: Path, *options: str) -> tuple[dict, str]:
    done = subprocess.run(
        [*DEMO, "--data", str(directory), "--json", *options],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout), done.stderr


def pids_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"pid (\d+)", text)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    return run_demo(tmp_path_factory.mktemp("demo"))


def test_the_result_is_whole(demo) -> None:
    result, _ = demo
    assert set(result) == {
        *("run_id", "state", "file", "streams", "lost_records", "gaps", "seconds")
    }
    assert result["state"] == "completed"
    assert (result["lost_records"], result["gaps"]) == (0, 0)
    assert {"stage", "camera", "power_meter", "axis", "eeg", "events"} <= set(result["streams"])
    assert all(rows > 0 for rows in result["streams"].values())


def test_the_file_opens_with_plain_h5py_and_holds_those_rows(demo) -> None:
    result, _ = demo
    with h5py.File(result["file"]) as file:
        for name, rows in result["streams"].items():
            assert file["entry"][name]["time"].shape[0] == rows
        assert np.all(np.diff(file["entry/events/position"][:]) > 0)


def test_it_says_what_is_simulated_and_what_it_killed(demo) -> None:
    _, said = demo
    assert "EEG: simulated" in said
    assert "killed the watching client" in said
    assert "another process" in said


def test_nothing_it_started_is_left(demo) -> None:
    _, said = demo
    assert len(pids_in(said)) >= 4
    assert [described(pid) for pid in pids_in(said) if alive(pid)] == []


@pytest.mark.slow
def test_a_given_recording_is_replayed_value_for_value(tmp_path) -> None:
    import edfio

    made = np.random.default_rng(0).integers(-2048, 2047, 6 * 256)
    signals = [
        edfio.EdfSignal.from_digital(
            (made + i).astype(np.int16), 256, label=label, physical_dimension="uV",
            physical_range=(-3200, 3200), digital_range=(-32768, 32767),
        )
        for i, label in enumerate(["Fp1", "Fp2"])
    ]  # fmt: skip
    edfio.Edf(signals).write(tmp_path / "given.edf")
    result, said = run_demo(tmp_path, "--recording", str(tmp_path / "given.edf"))
    assert "EEG: replay of" in said
    with h5py.File(result["file"]) as file:
        samples = file["entry/eeg/samples"][:]
    start = int(np.flatnonzero(np.all(samples == [made[0], made[0] + 1], axis=1))[0])
    rows = min(len(samples) - start, len(made))
    assert np.array_equal(samples[start : start + rows, 0], made[:rows])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_takes_all_it_started_with_it(tmp_path, number) -> None:
    process = subprocess.Popen(
        [*DEMO, "--data", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    while "20 %" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(number)
    process.wait(DEADLINE_SECS)
    process.stderr.close()
    assert process.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert len(pids_in(said)) >= 2
    assert left_after(pids_in(said), DEADLINE_SECS) == []
