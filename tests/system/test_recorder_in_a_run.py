"""The recorder dies again and again during a run of a real daemon; the file lacks nothing."""

import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

RATE = 10_000
PERIOD = 20_000
KILLS = 10
REPLAY = """
[[instrument]]
name = "counter"
driver = "replay.edf"
[instrument.options]
file = "{file}"
loop = true
block_secs = 0.001
"""


def make_counter(path):
    """Two seconds of 10 000 samples a second that count up, so that each sample tells its place."""
    import edfio

    count = np.arange(PERIOD, dtype=np.int16)
    signal_ = edfio.EdfSignal.from_digital(
        count, RATE, physical_range=(-3276.8, 3276.7), digital_range=(-32768, 32767), label="count"
    )
    edfio.Edf([signal_]).write(path)


def recorder_pid(daemon_pid):
    """The daemon's child that is a recorder now, or `None` between two of them."""
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == str(daemon_pid) and b"ringdaq.recorder" in command:
            return int(entry.name)
    return None


def next_recorder(daemon_pid, old):
    deadline = time.monotonic() + 60
    while (pid := recorder_pid(daemon_pid)) in (None, old):
        assert time.monotonic() < deadline, "no new recorder came"
        time.sleep(0.01)
    return pid


def durable_rows(control, run_id):
    streams = control.call("runs.status", {"run_id": run_id})["recording"]["streams"]
    return streams.get("counter", {}).get("durable_rows", 0)


def test_ten_kills_of_the_recorder_lose_and_double_nothing(start_daemon, tmp_path):
    make_counter(tmp_path / "count.edf")
    daemon = start_daemon(more=REPLAY.format(file=tmp_path / "count.edf"))
    control = daemon.control()
    script = control.call("scripts.upload", {"content": "sleep(1000)\n", "name": "wait.py"})
    run_id = control.call("runs.start", {"script": script["script_id"]})["run_id"]
    old = None
    for _ in range(KILLS):
        before = durable_rows(control, run_id)
        old = next_recorder(daemon.pid, old)
        deadline = time.monotonic() + 60
        while durable_rows(control, run_id) <= before:
            assert time.monotonic() < deadline, "the recorder did not go on"
            time.sleep(0.01)
        os.kill(old, signal.SIGKILL)
    control.call("runs.stop", {"run_id": run_id})
    params = {"run_id": run_id, "timeout": 60, "sealed": True}
    status = control.call("runs.wait", params, timeout=130)
    counts = status["recording"]["streams"]["counter"]
    assert status["recording"]["state"] == "sealed"
    assert counts["produced_rows"] == counts["durable_rows"]
    assert counts["gap_rows"] == 0
    with h5py.File(status["recording"]["file"]) as file:
        samples = file["entry/counter/samples"][:, 0].astype(int)
    assert len(samples) == counts["produced_rows"]
    # Each sample is its forerunner's successor: nothing lost, nothing doubled, nothing changed.
    assert np.array_equal(np.diff(samples) % PERIOD, np.ones(len(samples) - 1, dtype=int))
