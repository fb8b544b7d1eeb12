"""A panic holds for every run that was asked for before it, however long its start takes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from run_stand import RunStand

from ringdaq.daemon.control_server import ARRIVED
from ringdaq.errors import BusyError

MOVES = "stage.move_abs(7)\n"


@pytest.fixture
def stand(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory)
    yield stand
    stand.close()


@pytest.fixture
def slow(stand, monkeypatch):
    """Holds every start while it is prepared, once `preparing` is set, until `go` is."""
    prepare, preparing, go = stand.runs._preparer.prepare, threading.Event(), threading.Event()

    def prepare_slowly(*args):
        preparing.set()
        assert go.wait(30.0)
        return prepare(*args)

    monkeypatch.setattr(stand.runs._preparer, "prepare", prepare_slowly)
    yield preparing, go
    go.set()


def test_a_start_that_is_being_prepared_does_not_outlive_a_panic(stand, slow):
    preparing, go = slow
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(stand.start, MOVES)
        assert preparing.wait(30.0)
        stand.runs.note_panic()
        go.set()
        with pytest.raises(BusyError, match="a panic came after"):
            start.result()
    assert stand.runs.active() == stand.runs.listed(None, None, 10) == []
    assert stand.hosts["stage"].call("position", [], {}, who="ada") == pytest.approx(0.0)


def test_a_request_that_waited_for_its_turn_through_a_panic_starts_nothing(stand):
    token = ARRIVED.set(time.monotonic())
    try:
        stand.runs.note_panic()
        with pytest.raises(BusyError, match="a panic came after"):
            stand.start(MOVES)
    finally:
        ARRIVED.reset(token)


def test_what_is_asked_for_after_a_panic_is_started(stand):
    stand.runs.note_panic()
    assert stand.end_of(stand.start(MOVES))["state"] == "completed"
