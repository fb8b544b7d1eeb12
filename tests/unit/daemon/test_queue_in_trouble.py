"""The queue loses nothing where it is asked for nonsense or cannot be written down."""

import sqlite3
import threading
import time

import pytest
from run_stand import NotedAudit, until

from ringdaq.daemon.control_server import ARRIVED
from ringdaq.daemon.queue import RunQueue
from ringdaq.daemon.store import Store
from ringdaq.errors import BadRequestError, BusyError
from ringdaq.model import RunState


class EndedRun:
    ended = threading.Event()
    ended.set()


class QuickRuns:
    """Every run ends as soon as it has started."""

    def __init__(self):
        self.started = []
        self.status_fails = False

    def check(self, script, _parameters, _instruments):
        return {"script_id": script, "name": script}

    def start(self, script, *_, unless):
        assert not unless()
        self.started.append(script)
        return f"run-{len(self.started)}"

    def find(self, _run_id):
        return EndedRun()

    def status(self, _run_id):
        if self.status_fails:
            raise sqlite3.OperationalError("disk I/O error")
        return {"state": RunState.COMPLETED}


class Disk:
    """Refuses to take a queue while it is full."""

    def __init__(self, store, monkeypatch):
        self.full, self.refused, self._save = False, 0, store.save_queue
        monkeypatch.setattr(store, "save_queue", self.save_queue)

    def save_queue(self, entries):
        if self.full:
            self.refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        self._save(entries)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "db")
    yield store
    store.close()


@pytest.fixture
def disk(store, monkeypatch):
    monkeypatch.setattr("ringdaq.daemon.queue.KEEP_SECS", 0.01)
    return Disk(store, monkeypatch)


@pytest.fixture
def runs():
    return QuickRuns()


@pytest.fixture
def queue(store, runs, disk):
    queue = RunQueue(runs, store, NotedAudit())
    queue.start()
    queue.pause("ada")
    yield queue
    disk.full = False
    queue.close()
    queue.join()


def add(queue, script):
    entry = queue.add(script, {}, None, repeat=1, on_failure="stop", dry_run=False, user="ada")
    return entry["entry_id"]


def scripts(entries):
    return [entry["script_id"] for entry in entries]


@pytest.mark.parametrize("place", [-1, 10_001, True, "first"])
def test_an_entry_that_is_moved_nowhere_stays_where_it_is(queue, store, place):
    one, _ = add(queue, "a"), add(queue, "b")
    with pytest.raises(BadRequestError, match="the place must be"):
        queue.move(one, place, "ada")
    queue.pause("ada")
    assert scripts(queue.listed()["entries"]) == scripts(store.queue_entries()) == ["a", "b"]


def test_what_cannot_be_written_down_is_refused_and_changes_nothing(queue, disk):
    one, two = add(queue, "a"), add(queue, "b")
    before = queue.listed()["entries"]
    disk.full = True
    for change in (
        lambda: add(queue, "c"),
        lambda: queue.move(two, 0, "ada"),
        lambda: queue.remove(one, "ada"),
        lambda: queue.edit(one, {"repeat": 5}, "ada", dry_run=False),
        lambda: queue.resume("ada"),
    ):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            change()
        assert queue.listed()["entries"] == before
        assert queue.listed()["state"] == "paused"


def test_a_queue_goes_on_once_the_disk_has_room(queue, disk, runs, store):
    for script in "abc":
        add(queue, script)
    start = runs.start

    def start_as_the_disk_fills(*args, **more):
        disk.full = not runs.started
        return start(*args, **more)

    runs.start = start_as_the_disk_fills
    queue.resume("ada")
    until(lambda: disk.refused > 5)
    assert runs.started == ["a"], "a queue that cannot be written down started a run"
    found = queue.listed()
    assert "make room on the disk" in found["reason"]
    assert scripts(found["entries"]) == ["b", "c"]
    disk.full = False
    until(lambda: runs.started == ["a", "b", "c"])
    until(lambda: store.queue_entries() == [])
    assert (queue.listed()["state"], queue.listed()["reason"]) == ("running", "")


def test_a_panic_ends_well_on_a_full_disk_and_is_written_down_later(queue, disk, store):
    queue.resume("ada")
    disk.full = True
    queue.hold("panic by ada")
    queue.keep()
    assert queue.listed()["reason"] == "panic by ada"
    disk.full = False
    until(lambda: store.fact("queue_paused") == "panic by ada")


def test_an_end_that_nobody_knows_stops_the_queue(queue, runs):
    runs.status_fails = True
    add(queue, "a")
    add(queue, "b")
    queue.resume("ada")
    found = until(lambda: (q := queue.listed())["state"] == "paused" and q)
    assert "how is not known" in found["reason"]
    runs.status_fails = False
    queue.resume("ada")
    until(lambda: runs.started == ["a", "a", "b"])


def test_a_queue_on_a_full_disk_does_not_keep_the_daemon_from_ending(queue, disk, store):
    disk.full = True
    with pytest.raises(sqlite3.OperationalError):
        add(queue, "a")
    queue.close()
    queue.join()
    assert store.fact("ended_well") == "no"


def test_a_resume_that_was_asked_for_before_a_panic_is_refused(queue):
    asked = ARRIVED.set(time.monotonic())
    try:
        queue.hold("panic by eve")
        with pytest.raises(BusyError, match="panic by eve"):
            queue.resume("ada")
        assert queue.listed()["state"] == "paused"
        ARRIVED.set(time.monotonic())
        assert queue.resume("ada")["state"] == "running"
    finally:
        ARRIVED.reset(asked)
