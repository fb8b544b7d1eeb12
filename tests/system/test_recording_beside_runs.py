"""Recordings that are no run's: on and on in file after file, and the past after the fact."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from counting import PERIOD, RATE, REPLAY, assert_counts_on, make_counter

from ringdaq.recorder import describe_file
from ringdaq.streams import StreamReader

pytestmark = pytest.mark.slow

SCRIPT = """
for i in range(30):
    stage.move_abs(i * 0.5)
    camera.trigger()
    emit(index=i, position=stage.position())
    sleep(0.02)
"""


@pytest.fixture
def daemon(start_daemon, tmp_path):
    make_counter(tmp_path / "count.edf")
    return start_daemon(more=REPLAY.format(file=tmp_path / "count.edf"))


@pytest.fixture
def ringdaq(daemon, tmp_path):
    """Runs a command of the shell against the daemon; returns what it printed as JSON."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "ringdaq.cli", *arguments, "--json"],
            env={**os.environ, "RINGDAQ_STATE": str(daemon.state)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def run_script(control, script=SCRIPT):
    uploaded = control.call("scripts.upload", {"content": script, "name": "move.py"})
    run_id = control.call("runs.start", {"script": uploaded["script_id"]})["run_id"]
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 60}, timeout=70)
    assert status["state"] == "completed", status["error"]
    return run_id


def check_law(path):
    found = describe_file(path)
    assert found["sealed"]
    for counts in found["streams"].values():
        assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"]
    return found


def images_in_ring(control):
    """What the camera made, as its ring still has it."""
    (path,) = [s["path"] for s in control.call("streams.list") if s["name"] == "camera"]
    with StreamReader.open(Path(path)) as reader:
        records = [reader.read(sequence) for sequence in range(reader.statistics().next_sequence)]
    return np.concatenate([record.columns()["image"] for record in records])


def test_the_last_seconds_are_saved_after_the_fact_with_the_values_that_were_made(daemon, ringdaq):
    control = daemon.control()
    run_id = run_script(control)
    images = images_in_ring(control)
    found = ringdaq("save", "--last", "2m")
    (path,) = found["files"]
    assert check_law(path)["lost_rows"] == 0
    with h5py.File(path) as file:
        entry = file["entry"]
        assert_counts_on(entry["counter/samples"][:, 0])
        times = entry["counter/time"][:]
        np.testing.assert_array_equal(np.diff(times) // 1000, 10**6 // RATE)
        positions = entry["stage/position"][:]
        events = entry[f"run.{run_id}"]
        np.testing.assert_array_equal(events["index"], np.arange(30))
        np.testing.assert_array_equal(events["position"], np.arange(30) * 0.5)
        assert set(np.arange(30) * 0.5) <= set(positions)
        assert entry["camera/image"].shape == (30, 24, 32)
        assert images.any(axis=(1, 2)).all()
        np.testing.assert_array_equal(entry["camera/image"], images)


@pytest.mark.filterwarnings("ignore")
def test_the_nexus_library_plots_what_was_saved_after_the_fact(daemon, ringdaq):
    from nexusformat.nexus import nxload

    run_script(daemon.control())
    (path,) = ringdaq("save", "--last", "2m", "--stream", "counter", "--stream", "stage")["files"]
    with nxload(path) as root:
        plottable = root.plottable_data
        signal = plottable.nxsignal.nxdata
        assert len(signal)
        assert len(plottable.nxaxes[0].nxdata) == len(signal)


def test_only_what_is_asked_for_is_saved(daemon, ringdaq):
    control = daemon.control()
    run_script(control)
    deadline = time.monotonic() + 60
    while control.call("streams.list")[0]["statistics"]["rows"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found = ringdaq("save", "--last", "500ms", "--stream", "counter", "--title", "half a second")
    (path,) = found["files"]
    assert "half_a_second" in path
    with h5py.File(path) as file:
        streams = [g.attrs["stream"] for g in file["entry"].values() if "stream" in g.attrs]
        assert streams == ["counter"]
        rows = len(file["entry/counter/samples"])
        assert_counts_on(file["entry/counter/samples"][:, 0])
    assert 0 < rows < RATE


def test_a_recording_goes_on_from_file_to_file_without_a_seam(daemon, ringdaq):
    found = ringdaq("record", "--stream", "counter", "--for", "3.5s", "--rotate-every", "1s")
    assert len(found["files"]) >= 3
    control = daemon.control()
    parts = []
    for number, path in enumerate(found["files"], 1):
        part_id = f"{found['recording_id']}-{number:04d}"
        deadline = time.monotonic() + 60
        while control.call("recordings.status", {"recording_id": part_id})["state"] != "sealed":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert check_law(path)["lost_rows"] == 0
        with h5py.File(path) as file:
            parts.append(file["entry/counter/samples"][:, 0])
    whole = np.concatenate(parts)
    assert_counts_on(whole)
    assert len(whole) > 2 * RATE


def test_a_recording_is_rotated_by_size_and_stopped_by_name(daemon, ringdaq):
    begun = ringdaq("record", "--stream", "counter", "--rotate-size", "600 kB", "--detach")
    recording_id = begun["recording_id"]
    deadline = time.monotonic() + 60
    while len(ringdaq("record", "--list")[0]["files"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = ringdaq("record", "--stop", recording_id)
    assert len(found["files"]) >= 2
    assert ringdaq("record", "--list") == []
    assert os.stat(found["files"][0]).st_size >= 600_000


def test_ctrl_c_ends_a_recording_in_good_order(daemon):
    process = subprocess.Popen(
        [sys.executable, "-m", "ringdaq.cli", "record", "--stream", "counter", "--json"],
        env={**os.environ, "RINGDAQ_STATE": str(daemon.state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "counter" in line and "rows" in line:
            break
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert check_law(json.loads(output)["files"][0])["streams"]["counter"]["rows"] > 0


def test_a_recording_of_no_stream_is_refused_with_what_there_is(daemon):
    done = subprocess.run(
        [sys.executable, "-m", "ringdaq.cli", "save", "--last", "1s", "--stream", "nothing"],
        env={**os.environ, "RINGDAQ_STATE": str(daemon.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "none is called 'nothing'; there are: camera, counter" in done.stderr


def test_the_rig_file_may_want_streams_recorded_all_the_time(start_daemon, tmp_path):
    make_counter(tmp_path / "count.edf")
    more = REPLAY.format(file=tmp_path / "count.edf")
    daemon = start_daemon(
        more=more + '\n[recording]\ncontinuous = ["count*"]\nrotate_secs = 3600\n'
    )
    control = daemon.control()
    deadline = time.monotonic() + 60
    while True:
        (status,) = control.call("recordings.list")
        if (status.get("streams") or {}).get("counter", {}).get("durable_rows", 0) > PERIOD // 10:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.stop()
    found = check_law(status["files"][0])
    assert found["state"] == "completed"
    assert found["lost_rows"] == 0
