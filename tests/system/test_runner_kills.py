"""Runners killed at random moments of a scan: noticed, made safe, and nothing acknowledged lost."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import pytest

from ringdaq.clock import now_nanos
from ringdaq.streams import attach

KILLS, LANES = 200, 2
NOTICED_SECS = 1.0
LONGEST_SECS = 0.12
# Two hundred files are finished side by side, the first of them with all the others.
SEALED_SECS = 240
LANE = """
[[instrument]]
name = "axis{n}"
driver = "simulated.stage"
simulated = true
limits = {{ position = [0.0, 50.0] }}
options = {{ velocity = 500.0, acceleration = 100000.0, settle_secs = 0.001 }}

[[instrument]]
name = "eye{n}"
driver = "simulated.camera"
simulated = true
options = {{ exposure = 0.001, width = 8, height = 8 }}
"""
SCANS = {
    "scan.py": "scan(axis, 0, 40, 100_000, detectors=[eye])",
    "loop.py": (
        "eye.arm()\nfor i in range(10**6):\n"
        "    emit(axis_position=axis.move_abs(i % 40), eye=eye.trigger())"
    ),
    "scan.rhai": "scan(axis, 0, 40, 100_000, #{detectors: [eye]});",
}


class Lane:
    """One axis and one camera, and runs that are killed on them."""

    def __init__(self, daemon, number):
        self.number = number
        self.axis, self.eye = f"axis{number}", f"eye{number}"
        self.control = daemon.control()
        self.chance = random.Random(number)
        self.stream = attach(self.eye, directory=daemon.rings)
        self.made = 0
        self.scripts = [self.upload(name, source) for name, source in SCANS.items()]

    def upload(self, name, source):
        source = source.replace("axis", self.axis).replace("eye", self.eye)
        wanted = {"content": source, "name": name}
        return self.control.call("scripts.upload", wanted)["script_id"]

    def points(self, run_id):
        """How many points somebody outside has been told of."""
        status = self.control.call("runs.status", {"run_id": run_id})
        assert status["state"] == "running", status["error"]
        return status["live_values"].get(f"run.{run_id}.{self.eye}", -1) + 1

    def kill_one(self, number):
        """Run, kill, and look; returns the run, the camera's frames before it, and how far it was.

        How far is what somebody outside was told of before the kill.
        """
        before = self.frames()
        assert before == self.made, "the camera took frames although no run goes on"
        script = self.scripts[number % len(self.scripts)]
        run_id = self.control.call("runs.start", {"script": script})["run_id"]
        self.wait_for_a_point(run_id)
        time.sleep(self.chance.uniform(0.0, LONGEST_SECS))
        points = self.points(run_id)
        pid = self.control.call("runs.status", {"run_id": run_id})["pid"]
        os.kill(pid, signal.SIGKILL)
        killed = now_nanos()
        status = self.control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
        assert status["state"] == "crashed"
        assert (status["ended_nanos"] - killed) / 1e9 <= NOTICED_SECS
        self.check_safe()
        self.made = self.frames()
        return run_id, before, points

    def wait_for_a_point(self, run_id):
        deadline = time.monotonic() + 30
        while not self.points(run_id):
            assert time.monotonic() < deadline, "the scan did not begin"
            time.sleep(0.002)

    def frames(self):
        """How many frames the camera has made in all; they are numbered from 0."""
        return self.stream.statistics().rows

    def ask(self, instrument, verb):
        call = {"instrument": instrument, "verb": verb}
        return self.control.call("instruments.call", call)["value"]

    def check_safe(self):
        here = self.ask(self.axis, "position")
        assert self.ask(self.eye, "is_armed") is False
        assert self.ask(self.axis, "position") == here


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(more="".join(LANE.format(n=n) for n in range(LANES)))


def check_file(control, lane, run_id, before, acknowledged):
    params = {"run_id": run_id, "timeout": SEALED_SECS, "sealed": True}
    status = control.call("runs.wait", params, timeout=2 * SEALED_SECS)
    recording = status["recording"]
    assert recording["state"] == "sealed", recording["error"]
    kept = recording["streams"][f"run.{run_id}"]
    assert kept["produced_rows"] == kept["durable_rows"]
    assert kept["gaps"] == 0
    with h5py.File(recording["file"]) as file:
        assert file["entry"].attrs["state"] == "crashed"
        frames = file[f"entry/events/{lane.eye}"][:]
    assert list(frames) == list(range(before, before + len(frames)))
    assert acknowledged <= before + len(frames) <= lane.made


@pytest.mark.timeout(600)
def test_two_hundred_killed_runners_are_noticed_made_safe_and_kept(daemon):
    lanes = [Lane(daemon, n) for n in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        jobs = [
            pool.submit(lambda lane=lane: [lane.kill_one(n) for n in range(KILLS // LANES)])
            for lane in lanes
        ]
        ends = [(lane, end) for lane, job in zip(lanes, jobs, strict=True) for end in job.result()]
    assert len(ends) == KILLS
    control = daemon.control()
    for lane, (run_id, before, acknowledged) in ends:
        check_file(control, lane, run_id, before, acknowledged)
    assert daemon.process.poll() is None
