"""A run that has started is followed to its end, whatever becomes of its notes."""

import math
import sqlite3
import threading

import pytest
from run_stand import FOREVER, RunStand, until

from ringdaq.errors import BadRequestError, BusyError

MOVES = "stage.move_abs(7)\n"


@pytest.fixture
def stand(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory)
    yield stand
    stand.close()


class FullDisk:
    """Stands before a store's `save_run`; full until `room` is made."""

    def __init__(self, monkeypatch, store):
        self.room, self._save = False, store.save_run
        monkeypatch.setattr(store, "save_run", self.save_run)

    def save_run(self, status):
        if not self.room:
            raise sqlite3.OperationalError("database or disk is full")
        self._save(status)


@pytest.mark.parametrize("value", [b"x", math.nan, [1, math.inf], {"deep": [b"x"]}, {1: "x"}])
def test_a_parameter_that_could_not_be_kept_is_refused_by_its_name(stand, value):
    script = stand.upload(MOVES)
    with pytest.raises(BadRequestError, match="parameter 'strange' must be"):
        stand.runs.check(script, {"good": 1, "strange": value}, None)
    with pytest.raises(BadRequestError, match="parameter 'strange' must be"):
        stand.runs.start(script, {"good": 1, "strange": value}, None, "ada")
    assert stand.runs.active() == []
    assert stand.hosts["stage"].owner is None


def test_parameters_that_can_be_kept_are(stand):
    given = {"a": [1, 2.5, None, True, "text"], "b": {"c": [{}]}}
    run_id = stand.start(MOVES, given)
    assert stand.end_of(run_id)["parameters"] == given


def test_parameters_that_are_no_map_are_refused(stand):
    with pytest.raises(BadRequestError, match="must be a map"):
        stand.runs.check(stand.upload(MOVES), "abc", None)


def test_a_run_that_cannot_be_stored_is_followed_and_stored_with_the_next(stand, monkeypatch):
    disk = FullDisk(monkeypatch, stand.store)
    run_id = stand.start(MOVES)
    assert stand.end_of(run_id)["state"] == "completed"
    until(lambda: not stand.runs.active())
    assert stand.hosts["stage"].owner is None
    assert stand.runs.status(run_id)["state"] == "completed"
    disk.room = True
    other = stand.start(MOVES)
    assert stand.end_of(other)["state"] == "completed"
    assert stand.store.run(run_id)["state"] == "completed"


def test_no_more_runs_are_started_than_can_be_kept_unstored(stand, monkeypatch):
    monkeypatch.setattr("ringdaq.daemon.run_manager.MAX_UNSAVED", 1)
    disk = FullDisk(monkeypatch, stand.store)
    stand.end_of(stand.start(MOVES))
    with pytest.raises(BusyError, match="make room on the disk"):
        stand.start(MOVES)
    disk.room = True
    assert stand.end_of(stand.start(MOVES))["state"] == "completed"


def test_a_script_that_nobody_could_follow_does_not_go_on(stand, monkeypatch):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("20"):  # a follower has its run's id
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        stand.start(FOREVER)
    assert stand.runs.active() == []
    assert stand.hosts["stage"].owner is None
    (run,) = stand.store.runs()
    assert run["state"] not in ("pending", "running", "stopping")
