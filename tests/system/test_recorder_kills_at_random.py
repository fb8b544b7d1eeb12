"""SIGKILL of recorder, daemon or both at random times under load: nothing lost, nothing doubled."""

import math
import os
import random
import signal
import time
from collections import Counter

import h5py
import pytest
from counting import REPLAY, assert_counts_on, make_counter, recorder_pid
from soak_plan import report, seconds_for

from ringdaq.recorder import describe_file

SEEDS = range(5)
KILLS = 10
VICTIMS = ("daemon", "both", "recorder", "daemon", "both")
DEADLINE_SECS = 60


class Lab:
    """A daemon that is killed and started again, and the runs that it records."""

    def __init__(self, start_daemon, tmp_path, seed):
        make_counter(tmp_path / "count.edf")
        self._start = lambda: start_daemon(more=REPLAY.format(file=tmp_path / "count.edf"))
        self.daemon = self._start()
        self.control = self.daemon.control()
        self.dice = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.slowest_secs = 0.0

    def begin(self):
        script = self.control.call(
            "scripts.upload", {"content": "sleep(1000)\n", "name": "wait.py"}
        )
        run_id = self.control.call("runs.start", {"script": script["script_id"]})["run_id"]
        self._await(run_id, "recording")
        return run_id

    def kill(self, victim):
        """Kill at a random moment; a killed daemon is started again."""
        time.sleep(self.dice.uniform(0.0, 0.25))  # the moment is what is random
        self.kills[victim] += 1
        pid = recorder_pid(self.daemon.pid)
        if victim in ("recorder", "both") and pid is not None:
            os.kill(pid, signal.SIGKILL)
        if victim in ("daemon", "both"):
            os.kill(self.daemon.pid, signal.SIGKILL)
            self.daemon.process.wait()
            self._restart()

    def _restart(self):
        began = time.monotonic()
        self.daemon = self._start()
        self.control = self.daemon.control()
        self.control.call("system.status")
        self.slowest_secs = max(self.slowest_secs, time.monotonic() - began)

    def status(self, run_id):
        return self.control.call("runs.status", {"run_id": run_id})

    def await_sealed(self, run_id):
        return self._await(run_id, "sealed")

    def _await(self, run_id, state):
        deadline = time.monotonic() + DEADLINE_SECS
        while (recording := self.status(run_id)["recording"])["state"] != state:
            assert time.monotonic() < deadline, recording
            time.sleep(0.02)
        return recording


def one_run(lab, victim):
    """A run during which something is killed."""
    run_id = lab.begin()
    lab.kill(victim)
    if victim == "recorder":
        lab.control.call("runs.stop", {"run_id": run_id})
    else:
        assert lab.status(run_id)["state"] == "interrupted"
    check(lab.await_sealed(run_id), "stopped" if victim == "recorder" else "interrupted")


def check(recording, state):
    counts = recording["streams"]["counter"]
    assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"]
    assert counts["gap_rows"] == 0
    found = describe_file(recording["file"])
    assert (found["state"], found["sealed"]) == (state, True)
    with h5py.File(recording["file"]) as file:
        samples = file["entry/counter/samples"][:, 0]
    assert len(samples) == counts["produced_rows"]
    if len(samples):
        assert_counts_on(samples)


def many(lab, kills, seconds=math.inf):
    until = time.monotonic() + seconds
    for number in range(kills):
        if time.monotonic() > until:
            break
        one_run(lab, VICTIMS[number % len(VICTIMS)])
    print(f"kills: {dict(lab.kills)}, serving again after {lab.slowest_secs:.2f} s at most")


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_kills_of_daemon_and_recorder_lose_nothing_and_double_nothing(
    start_daemon, tmp_path, seed
):
    many(Lab(start_daemon, tmp_path, seed), KILLS)


@pytest.mark.soak
def test_2000_kills_of_daemon_and_recorder_lose_nothing(start_daemon, tmp_path):
    lab = Lab(start_daemon, tmp_path, len(SEEDS))
    kills = int(os.environ.get("RINGDAQ_SOAK_KILLS", "2000"))
    many(lab, kills, seconds_for("recorder kills"))
    for victim, number in sorted(lab.kills.items()):
        report(f"recorder: kills of {victim}", number)
