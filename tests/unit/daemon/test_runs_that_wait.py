"""A run whose instruments somebody holds leaves nothing behind, however often it is tried."""

import pytest
from run_stand import FOREVER, RunStand, until

from ringdaq.daemon.queue import RunQueue
from ringdaq.errors import InstrumentBusyError


@pytest.fixture
def stand(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory)
    yield stand
    stand.close()


@pytest.fixture
def queue(stand):
    queue = RunQueue(stand.runs, stand.store, stand.audit)
    queue.start()
    yield queue
    queue.close()
    stand.runs.close(10.0)
    queue.join()


def runs_noted(stand):
    return [target for action, target in stand.audit.noted if action == "run.start"]


def test_a_waiting_queue_makes_no_runs(stand, queue, monkeypatch):
    tried, start = [], stand.runs.start

    def counted(*args, **more):
        tried.append(args)
        return start(*args, **more)

    monkeypatch.setattr(stand.runs, "start", counted)
    stand.desk.enabled = True
    stand.hosts["stage"].take("somebody")
    script = stand.upload("stage.move_abs(7)\n")
    queue.add(script, {}, None, repeat=1, on_failure="stop", dry_run=False, user="ada")
    until(lambda: len(tried) > 3)
    assert "stage can have one owner; somebody holds it" in queue.listed()["reason"]
    assert stand.store.runs() == runs_noted(stand) == stand.store.interrupt_open_runs() == []
    stand.desk.enabled = False
    stand.hosts["stage"].release("somebody")
    until(lambda: not queue.listed()["entries"])
    assert [run["state"] for run in stand.store.runs()] == ["completed"]


def test_a_run_that_loses_the_race_for_an_instrument_is_not_kept(stand, monkeypatch):
    """It is taken between the look at its owner and the start."""
    stand.desk.enabled = True
    take = stand.hosts["stage"].take

    def take_late(owner):
        take("somebody")
        take(owner)

    monkeypatch.setattr(stand.hosts["stage"], "take", take_late)
    with pytest.raises(InstrumentBusyError, match="somebody holds it"):
        stand.start(FOREVER)
    assert stand.runs.active() == stand.store.runs() == []
    (run_id,) = runs_noted(stand)
    assert stand.runs.find(run_id) is None


def test_a_run_that_failed_to_start_with_its_instruments_is_kept(stand, monkeypatch):
    def refuse():
        raise OSError("no more processes")

    monkeypatch.setattr(stand.runs, "_spawner", refuse)
    with pytest.raises(Exception, match="no more processes"):
        stand.start(FOREVER)
    (run,) = stand.store.runs()
    assert run["state"] == "failed"
    assert stand.hosts["stage"].owner is None
