"""Minutes of runs while their processes are killed at random; nothing is lost, none is doubled."""

import os
import random
import signal
import time

import h5py
import pytest
from counting import REPLAY, assert_counts_on, children_of, make_counter
from soak_plan import report, seconds_for

pytestmark = pytest.mark.soak

SCAN = """\
for i in range(40):
    stage.move_abs(i * 0.1)
    camera.trigger()
    emit(index=i)
    sleep(0.1)
"""
PATIENCE_SECS = 60


def kill_one(daemon, victim):
    """SIGKILL the daemon's child of that kind, if there is one now."""
    found = [pid for pid, command in children_of(daemon.pid).items() if victim in command]
    for pid in found[:1]:
        os.kill(pid, signal.SIGKILL)
    return len(found[:1])


def one_run(daemon, control, script_id, dice):
    """A run in which something is killed; returns what was killed and the run's status."""
    run_id = control.call("runs.start", {"script": script_id})["run_id"]
    victim = dice.choice(["ringdaq.recorder", "ringdaq.gateway", "ringdaq.scripts", "nobody"])
    until = time.monotonic() + dice.uniform(0.2, 3.0)
    while time.monotonic() < until:
        time.sleep(0.01)
    killed = kill_one(daemon, victim)
    params = {"run_id": run_id, "timeout": PATIENCE_SECS, "sealed": True}
    status = control.call("runs.wait", params, timeout=3 * PATIENCE_SECS)
    return victim if killed else "nobody", status


def check(victim, status):
    expected = "crashed" if victim == "ringdaq.scripts" else "completed"
    assert status["state"] == expected, (victim, status["error"])
    assert status["recording"]["state"] == "sealed"
    for stream, counts in status["recording"]["streams"].items():
        assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"], stream
        assert counts["gap_rows"] == 0, stream
    with h5py.File(status["recording"]["file"]) as file:
        assert_counts_on(file["entry/counter/samples"][:, 0])
        if expected == "completed":
            assert list(file["entry/events/index"][:]) == list(range(40))


def test_runs_survive_random_kills(start_daemon, tmp_path):
    dice = random.Random(20)
    make_counter(tmp_path / "count.edf")
    daemon = start_daemon(gateway=True, more=REPLAY.format(file=tmp_path / "count.edf"))
    control = daemon.control()
    script = control.call("scripts.upload", {"content": SCAN, "name": "scan.py"})["script_id"]
    counts: dict[str, int] = {}
    end = time.monotonic() + seconds_for("runs")
    while time.monotonic() < end:
        victim, status = one_run(daemon, control, script, dice)
        check(victim, status)
        os.unlink(status["recording"]["file"])
        counts[victim] = counts.get(victim, 0) + 1
    for victim, number in sorted(counts.items()):
        report(f"runs while something was killed: {victim}", number)
    assert counts
