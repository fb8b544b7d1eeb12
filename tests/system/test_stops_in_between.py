"""Stops that come at awkward moments, and ends at which something breaks."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from ringdaq.config import parse_rig
from ringdaq.control import ControlClient
from ringdaq.daemon import runs as runs_module
from ringdaq.daemon.control_server import ControlServer
from ringdaq.daemon.instruments import InstrumentHost, scalar_streams
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.run_manager import RunManager
from ringdaq.daemon.store import Store
from ringdaq.daemon.workers import Worker
from ringdaq.instruments import build_instruments
from ringdaq.scripts.spawn import spawn

RIG = """
[rig]
name = "awkward"

[daemon]
gateway = false
recorder = false

[[instrument]]
name = "first"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 100.0] }
options = { velocity = 2.0 }

[[instrument]]
name = "second"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 100.0] }
options = { velocity = 2.0 }
"""
PATIENCE_SECS = 60.0


class SilentAudit:
    def note(self, *_, **__):
        pass

    def refused(self, *_):
        return []


class Runs:
    """A daemon's runs, in this process."""

    def __init__(self, folder):
        rig = parse_rig(RIG, folder / "rig.toml")
        self.publisher = Publisher(rig, folder / "rings")
        self.audit = SilentAudit()
        self.drivers, self.hosts = {}, {}
        for entry in build_instruments(rig).entries.values():
            worker = Worker(f"link-{entry.name}")
            self.drivers[entry.name] = entry.instrument
            self.hosts[entry.name] = InstrumentHost(entry, worker, self.publisher, self.audit)
            for spec in scalar_streams(entry):
                self.publisher.open(spec, 1 << 16)
        desk = RecordingDesk(rig, folder / "data", lambda _: None)
        desk.enabled = False
        store = Store(folder / "daemon.db")
        self.manager = RunManager(rig, self.hosts, self.publisher, desk, store, self.audit, spawn)

    def start(self, source, instruments=None):
        script = self.manager.upload(source, "awkward.py", {}, "me")["script_id"]
        return self.manager.find(self.manager.start(script, {}, instruments, "me"))


@pytest.fixture
def lab(tmp_path):
    lab = Runs(tmp_path)
    yield lab
    lab.manager.close(5.0)
    lab.publisher.close()


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


def test_a_command_that_was_asked_for_before_a_stop_is_not_carried_out_after_it(lab, monkeypatch):
    """The stop comes when the daemon has last looked for one, and has not yet begun."""
    asked, stopped, clock = threading.Event(), threading.Event(), runs_module.now_nanos

    def held_up():
        if threading.current_thread().name == "script" and not asked.is_set():
            asked.set()
            assert stopped.wait(PATIENCE_SECS)
        return clock()

    monkeypatch.setattr(runs_module, "now_nanos", held_up)
    run = lab.start("first.move_abs(90.0)\n")
    assert asked.wait(PATIENCE_SECS)
    run.stop(force=False, user="me")
    stopped.set()
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "stopped"
    assert lab.drivers["first"].true_position() == 0.0


def test_an_instrument_that_cannot_be_stopped_keeps_no_other_from_it(lab, monkeypatch):
    def unplugged():
        raise OSError("unplugged")

    second = lab.drivers["second"]
    run = lab.start("first.position()\nsecond.move_abs(90.0)\n", ["first", "second"])
    until(lambda: second.true_position() > 0.5)
    monkeypatch.setattr(lab.drivers["first"], "stop", unplugged)
    run.stop(force=False, user="me")
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "stopped"
    assert second.true_position() < 80.0


def test_what_cannot_be_written_down_at_an_end_keeps_no_instrument_from_others(lab, monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(lab.audit, "refused", full)
    run = lab.start("first.position()\n")
    assert run.ended.wait(PATIENCE_SECS)
    assert run.status()["state"] == "completed"
    assert lab.hosts["first"].owner is None


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
