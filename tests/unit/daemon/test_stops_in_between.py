"""Stops that come at awkward moments, and ends at which something breaks."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from run_stand import RIG, RunStand, until

from ringdaq.control import ControlClient
from ringdaq.daemon import runs as runs_module
from ringdaq.daemon.control_server import ControlServer

SLOW = RIG.replace('mode = "instant"', "velocity = 2.0")
PATIENCE_SECS = 60.0


@pytest.fixture
def stand(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory, SLOW)
    yield stand
    stand.close()


def start(stand, source):
    return stand.runs.find(stand.start(source))


def test_a_command_that_was_asked_for_before_a_stop_is_not_carried_out_after_it(stand, monkeypatch):
    """The stop comes when the daemon has last looked for one, and has not yet begun."""
    asked, stopped, clock = threading.Event(), threading.Event(), runs_module.now_nanos

    def held_up():
        if threading.current_thread().name == "script" and not asked.is_set():
            asked.set()
            assert stopped.wait(PATIENCE_SECS)
        return clock()

    monkeypatch.setattr(runs_module, "now_nanos", held_up)
    run = start(stand, "stage.move_abs(45.0)\n")
    assert asked.wait(PATIENCE_SECS)
    run.stop(force=False, user="me")
    stopped.set()
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "stopped"
    assert stand.drivers["stage"].true_position() == 0.0


def test_an_instrument_that_cannot_be_stopped_keeps_no_other_from_it(stand, monkeypatch):
    def unplugged():
        raise OSError("unplugged")

    other = stand.drivers["other"]
    run = start(stand, "stage.position()\nother.move_abs(45.0)\n")
    until(lambda: other.true_position() > 0.5)
    monkeypatch.setattr(stand.drivers["stage"], "stop", unplugged)
    run.stop(force=False, user="me")
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "stopped"
    assert other.true_position() < 40.0


def test_what_cannot_be_written_down_at_an_end_keeps_no_instrument_from_others(stand, monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(stand.audit, "refused", full)
    run = start(stand, "stage.position()\n")
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "completed"
    assert stand.hosts["stage"].owner is None


def test_stops_that_hang_hold_up_no_panic(tmp_path):
    hang, began = threading.Event(), threading.Semaphore(0)

    def call(_peer, **_):
        began.release()
        hang.wait(PATIENCE_SECS)
        return {}

    methods = {"instruments.call": call, "panic": lambda _peer: "safe"}
    server = ControlServer(tmp_path / "c", methods)
    server.start()
    client, other = (ControlClient.connect(tmp_path / "c") for _ in range(2))
    stop = {"instrument": "x", "verb": "stop"}
    stops = [
        threading.Thread(target=client.call, args=("instruments.call", stop), daemon=True)
        for _ in range(20)
    ]
    for thread in stops:
        thread.start()
    for _ in range(8):
        assert began.acquire(timeout=PATIENCE_SECS)
    try:
        assert other.call("panic", timeout=PATIENCE_SECS) == "safe"
    finally:
        hang.set()
        for thread in stops:
            thread.join(PATIENCE_SECS)
        client.close()
        other.close()
        server.close()
