"""The recorder dies again and again during a run of a real daemon; the file lacks nothing."""

import os
import signal
import time

import h5py
import pytest
from counting import REPLAY, assert_counts_on, make_counter, next_recorder

pytestmark = pytest.mark.slow

KILLS = 10


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
        samples = file["entry/counter/samples"][:, 0]
    assert len(samples) == counts["produced_rows"]
    assert_counts_on(samples)
