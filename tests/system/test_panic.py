"""A panic: everybody is at rest, and stays there until somebody asks for something."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ringdaq.clock import now_nanos

LOOP = "while True: {axis}.move_abs(1)\n"
# It brakes for a second, and a panic waits for that.
TRAIN = """
[[instrument]]
name = "train"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 100.0] }
options = { velocity = 10.0, acceleration = 10.0 }

[scripts]
verbs_per_sec = 1e6
"""


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False, more=TRAIN)


def until(condition):
    deadline = time.monotonic() + 30.0
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return found


def upload(control, source):
    wanted = {"content": source, "name": "busy.py"}
    return control.call("scripts.upload", wanted)["script_id"]


def start(control, source):
    return control.call("runs.start", {"script": upload(control, source)})["run_id"]


def position(control, axis):
    return control.call("instruments.call", {"instrument": axis, "verb": "position"})["value"]


def moves(control, axis):
    """The times of the moves that were carried out, of the last thousands, in ns."""
    found = control.call("audit.list", {"limit": 5000})
    return [
        e["time_nanos"] for e in found if e["target"] == f"{axis}.move_abs" and e["outcome"] == "ok"
    ]


def test_nobody_commands_while_the_slowest_comes_to_rest(daemon):
    """One axis brakes for a second; a script that moves another one must not go on meanwhile."""
    control = daemon.control()
    start(control, "train.move_abs(100)\n")
    until(lambda: position(control, "train") > 10)
    start(control, LOOP.format(axis="stage"))
    until(lambda: moves(control, "stage"))
    began = now_nanos()
    outcome = control.call("panic")
    ended = now_nanos()
    assert outcome["instruments"]["train"] == outcome["instruments"]["stage"] == "safe"
    assert ended - began > 0.5e9
    assert max(moves(control, "stage")) < began + (ended - began) / 2
    assert position(control, "train") < 100


def test_a_panic_pauses_the_queue(daemon):
    control = daemon.control()
    script = upload(control, LOOP.format(axis="stage"))
    queued = {"script": script, "repeat": 50, "on_failure": "continue", "dry_run": False}
    entry = control.call("queue.add", queued)
    until(lambda: moves(control, "stage"))
    control.call("panic", {"user": "ada"})
    queue = until(
        lambda: (q := control.call("queue.list"))["entries"][0]["state"] == "waiting" and q
    )
    assert (queue["state"], queue["reason"]) == ("paused", "panic by ada")
    assert len(control.call("runs.list", {})) == 1
    control.call("queue.remove", {"entry_id": entry["entry_id"]})


def test_panics_among_starts_leave_nothing_running(daemon):
    """However a panic and the starts of runs by the queue fall together."""
    control, other = daemon.control(), daemon.control()
    script = upload(control, "stage.move_abs(1)\n")
    queued = {"script": script, "repeat": 1000, "on_failure": "continue", "dry_run": False}
    control.call("queue.add", queued)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            before = len(control.call("runs.list", {}))
            control.call("queue.resume", {})
            until(lambda before=before: len(control.call("runs.list", {})) > before)
            pool.submit(other.call, "panic").result()
            until(lambda: control.call("system.status")["state"] == "idle")
            found = control.call("runs.list", {})
            assert control.call("queue.list")["state"] == "paused"
            assert control.call("runs.list", {}) == found
