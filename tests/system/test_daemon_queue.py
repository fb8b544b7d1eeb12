"""The queue of runs: its order, its failures, and what a restart leaves of it."""

import itertools
import time

import pytest

from ringdaq.errors import BadRequestError, BusyError, ScriptRejectedError

QUICK = "stage.move_abs(parameters['x'])\n"
OPEN = ("pending", "running", "stopping", "paused")
SLOW = "for i in range(2000):\n    sleep(0.01)\n"


def until(condition, seconds=30.0):
    """Wait for a condition; a test that waits in vain fails here."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return result


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False)


def upload(control, source, name="queued.py"):
    return control.call("scripts.upload", {"content": source, "name": name})["script_id"]


def add(control, script, **more):
    return control.call("queue.add", {"script": script, **more})["entry_id"]


def entries(control):
    return [e["entry_id"] for e in control.call("queue.list")["entries"]]


def runs(control):
    return list(reversed(control.call("runs.list", {})))


def ended(control, count):
    return until(
        lambda: len(f := [r for r in runs(control) if r["state"] not in OPEN]) == count and f
    )


def test_entries_run_one_after_another_in_their_order(daemon):
    control = daemon.control()
    script = upload(control, QUICK)
    for x in (3, 1, 2):
        add(control, script, parameters={"x": x})
    done = ended(control, 3)
    assert [r["parameters"]["x"] for r in done] == [3, 1, 2]
    assert all(a["ended_nanos"] <= b["started_nanos"] for a, b in itertools.pairwise(done))
    until(lambda: entries(control) == [])


def test_entries_are_moved_removed_and_repeated(daemon):
    control = daemon.control()
    script = upload(control, QUICK)
    control.call("queue.pause")
    one, two, three = (add(control, script, parameters={"x": x}) for x in (1, 2, 3))
    control.call("queue.move", {"entry_id": three, "to": 0})
    assert entries(control) == [three, one, two]
    control.call("queue.remove", {"entry_id": one})
    control.call("queue.repeat", {"entry_id": two, "times": 3})
    control.call("queue.edit", {"entry_id": two, "parameters": {"x": 7}})
    assert runs(control) == []
    control.call("queue.resume")
    assert [r["parameters"]["x"] for r in ended(control, 4)] == [3, 7, 7, 7]


def test_what_could_not_start_is_not_accepted(daemon):
    control = daemon.control()
    typed = upload(control, "def main(stage: Movable, n: int):\n    pass\n")
    with pytest.raises(ScriptRejectedError, match="line 1"):
        add(control, typed)
    with pytest.raises(BadRequestError, match="on_failure"):
        add(control, typed, parameters={"n": 1}, on_failure="explode")
    with pytest.raises(BadRequestError, match="no entry"):
        control.call("queue.remove", {"entry_id": "nothing"})
    assert entries(control) == []


def test_a_failure_stops_the_queue_and_resume_goes_on(daemon):
    control = daemon.control()
    bad, good = upload(control, "stage.move_abs(99)\n", "bad.py"), upload(control, QUICK)
    add(control, bad, on_failure="continue", dry_run=False)
    failing = add(control, bad, dry_run=False)
    add(control, good, parameters={"x": 1})
    found = until(lambda: (q := control.call("queue.list"))["state"] == "paused" and q)
    assert "failed" in found["reason"]
    assert [r["state"] for r in runs(control)] == ["failed", "failed"]
    control.call("queue.remove", {"entry_id": failing})
    control.call("queue.resume")
    assert [r["state"] for r in ended(control, 3)] == ["failed", "failed", "completed"]


def test_a_running_entry_stays_until_its_run_is_stopped(daemon):
    control = daemon.control()
    entry = add(control, upload(control, SLOW))
    run_id = until(lambda: control.call("queue.list")["entries"][0]["run_id"])
    with pytest.raises(BusyError, match=run_id):
        control.call("queue.remove", {"entry_id": entry})
    control.call("runs.stop", {"run_id": run_id})
    found = until(lambda: (q := control.call("queue.list"))["state"] == "paused" and q)
    assert found["reason"] == f"run {run_id} stopped"


def test_an_entry_waits_for_whoever_holds_its_instrument(daemon):
    control = daemon.control()
    holder = upload(control, "stage.position()\n" + SLOW, "holder.py")
    run_id = control.call("runs.start", {"script": holder})["run_id"]
    add(control, upload(control, QUICK), parameters={"x": 1})
    until(lambda: run_id in control.call("queue.list")["reason"])
    control.call("runs.stop", {"run_id": run_id})
    assert [r["state"] for r in ended(control, 2)] == ["stopped", "completed"]


def test_a_queue_outlives_a_daemon_that_ended_well_and_goes_on(daemon):
    control = daemon.control()
    control.call("queue.pause")
    script = upload(control, QUICK)
    one, two, three = (add(control, script, parameters={"x": x}) for x in (1, 2, 3))
    control.call("queue.move", {"entry_id": three, "to": 0})
    control.call("queue.repeat", {"entry_id": two, "times": 2})
    control.call("queue.edit", {"entry_id": one, "parameters": {"x": 7}, "on_failure": "continue"})
    before = control.call("queue.list")
    assert entries(control) == [three, one, two]
    assert daemon.stop() == 0
    daemon.start()
    control = daemon.control()
    assert control.call("queue.list") == before
    control.call("queue.resume")
    assert [r["parameters"]["x"] for r in ended(control, 4)] == [3, 7, 2, 2]


def test_after_a_crash_nothing_starts_by_itself(daemon):
    control = daemon.control()
    first = add(control, upload(control, SLOW, "slow.py"))
    second = add(control, upload(control, QUICK), parameters={"x": 1})
    until(lambda: control.call("queue.list")["entries"][0]["run_id"])
    daemon.kill()
    daemon.start()
    control = daemon.control()
    found = control.call("queue.list")
    assert found["state"] == "paused"
    assert "good order" in found["reason"]
    assert entries(control) == [first, second]
    assert [r["state"] for r in runs(control)] == ["interrupted"]
    control.call("queue.remove", {"entry_id": first})
    control.call("queue.resume")
    assert ended(control, 2)[-1]["state"] == "completed"
