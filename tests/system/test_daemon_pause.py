"""Pause and resume: the points of an interrupted scan are those of an uninterrupted one."""

import random
import time

import pytest

import ringdaq
from ringdaq.streams import attach

SECOND_AXIS = """
[[instrument]]
name = "stage_y"
driver = "simulated.stage"
simulated = true
limits = { position = [-5.0, 5.0] }
options = { mode = "instant" }
"""
GRID = "grid_scan(stage, 0, 2, 30, stage_y, -1, 1, 20, detectors=[power_meter], delay=0.001)\n"


def until(condition, seconds=30.0):
    """Wait for a condition; a test that waits in vain fails here."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)
    return result


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False, more=SECOND_AXIS)


def start(daemon, source):
    control = daemon.control()
    script = control.call("scripts.upload", {"content": source, "name": "scan.py"})
    return control, control.call("runs.start", {"script": script["script_id"]})["run_id"]


def points_of(daemon, run_id):
    """All points in the run's stream, as (x, y)."""
    points = []
    with attach(f"run.{run_id}", directory=daemon.rings) as stream:
        for record in stream.follow("oldest", timeout=5):
            columns = record.columns()
            points += zip(
                columns["stage_position"].tolist(), columns["stage_y_position"].tolist(),
                strict=True,
            )  # fmt: skip
    return points


def rows_of(daemon, stream):
    streams = {s["name"]: s for s in daemon.control().call("streams.list")}
    return streams[stream]["statistics"]["rows"]


def pause_at_random(control, run_id, times, chance):
    """Pause and resume a run so many times; returns how often it was really held."""
    held = 0
    while held < times:
        time.sleep(chance.uniform(0.0, 0.02))
        control.call("runs.pause", {"run_id": run_id})

        def stands():
            return control.call("runs.status", {"run_id": run_id})["state"]

        state = until(lambda: (s := stands()) != "running" and s)
        if state != "paused":
            break
        held += 1
        control.call("runs.resume", {"run_id": run_id})
    return held


def check_pauses(daemon, source, times, seed):
    plain = daemon.run(source)
    assert plain["state"] == "completed", plain["error"]
    moves = rows_of(daemon, "stage_y")
    control, run_id = start(daemon, source)
    held = pause_at_random(control, run_id, times, random.Random(seed))
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 60}, timeout=70)
    assert status["state"] == "completed", status["error"]
    assert points_of(daemon, run_id) == points_of(daemon, plain["run_id"])
    assert rows_of(daemon, "stage_y") == 2 * moves
    return held


def test_a_grid_scan_paused_at_twenty_random_points_has_the_same_points(daemon):
    assert check_pauses(daemon, GRID, times=20, seed=4) == 20


@pytest.mark.slow
def test_a_grid_scan_paused_at_a_hundred_random_points_has_the_same_points(daemon):
    source = GRID.replace("30", "100").replace("20,", "40,")
    assert check_pauses(daemon, source, times=100, seed=5) == 100


def test_a_loop_of_verbs_pauses_between_two_verbs(daemon):
    source = """\
for i in range(400):
    stage.move_abs(i * 0.01)
    stage_y.move_abs(i * 0.001)
    emit(stage_position=stage.position(), stage_y_position=stage_y.position())
    sleep(0.001)
"""
    assert check_pauses(daemon, source, times=10, seed=6) == 10


def test_nothing_moves_while_a_run_is_paused_and_a_stop_ends_it(daemon):
    control, run_id = start(daemon, GRID)
    until(lambda: control.call("runs.status", {"run_id": run_id})["progress_percent"])
    control.call("runs.pause", {"run_id": run_id})
    status = until(lambda: paused(control, run_id))
    assert status["eta_secs"] is None
    rows = rows_of(daemon, "stage_y")
    time.sleep(0.1)
    assert rows_of(daemon, "stage_y") == rows
    control.call("runs.stop", {"run_id": run_id})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    assert status["state"] == "stopped"


def paused(control, run_id):
    status = control.call("runs.status", {"run_id": run_id})
    return status if status["state"] == "paused" else None


def test_a_sleep_is_paused_too_and_its_rest_is_slept_afterwards(daemon):
    control, run_id = start(daemon, "sleep(1.0)\nstage.move_abs(1)\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["current_line"] == 1)
    control.call("runs.pause", {"run_id": run_id})
    until(lambda: paused(control, run_id))
    control.call("runs.resume", {"run_id": run_id})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    assert status["state"] == "completed"
    assert (status["ended_nanos"] - status["started_nanos"]) / 1e9 >= 1.0


def test_a_forced_stop_ends_a_paused_run(daemon):
    control, run_id = start(daemon, "while True:\n    sleep(0.001)\n")
    control.call("runs.pause", {"run_id": run_id})
    until(lambda: paused(control, run_id))
    control.call("runs.stop", {"run_id": run_id, "force": True})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    assert status["state"] == "stopped"


def test_a_client_pauses_and_resumes_over_the_network(start_daemon, monkeypatch):
    daemon = start_daemon(recorder=False, gateway=True)
    monkeypatch.setenv("RINGDAQ_STATE", str(daemon.state))
    with ringdaq.connect() as client:
        script = client.upload("for i in range(2000):\n    sleep(0.005)\n", name="slow.py")
        run = client.start(script)
        until(lambda: (client.status(run).progress_percent or 0) > 0.1)
        assert client.status(run).eta_secs > 0
        client.pause(run)
        until(lambda: client.status(run).state == "paused")
        client.resume(run)
        until(lambda: client.status(run).state == "running")
        client.stop(run, force=True)
