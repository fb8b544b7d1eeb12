"""A thread behind the journal keeps the file up to it, and rows can be durable at once."""

from __future__ import annotations

import threading
import time

import h5py
import pytest

from ringdaq.recorder import behind
from ringdaq.recorder.alarm import Alarm

PATIENCE_SECS = 60.0


@pytest.fixture
def alarm():
    made = Alarm()
    yield made
    made.close()


def await_step(recording, condition):
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        recording.step()
        assert time.monotonic() < deadline, recording.report()


def test_a_file_that_is_written_behind_the_journal_holds_the_same(bench):
    bench.open("stage", "eeg", "camera")
    recording = bench.record(behind=True)
    for _ in range(5):
        bench.produce(4)
        recording.step()
    report = bench.end(recording)
    assert report["state"] == "sealed"
    assert report["streams"]["stage"]["durable_rows"] == 20
    with h5py.File(bench.file) as file:
        assert list(file["entry/camera/image"][:, 0, 0]) == list(range(20))


def test_what_is_too_much_to_wait_for_is_read_from_the_journal(bench, monkeypatch):
    monkeypatch.setattr(behind, "WAITING_BYTES", 0)
    bench.open("stage")
    recording = bench.record(behind=True)
    bench.produce(50)
    recording.step()
    report = bench.end(recording)
    assert report["state"] == "sealed"
    assert report["streams"]["stage"]["durable_rows"] == 50


def test_a_thread_that_breaks_is_told_and_the_journal_stays(bench, monkeypatch):
    def broken(self, next_entry):
        raise ZeroDivisionError("broken for the test")

    monkeypatch.setattr(behind.FileKeeper, "step", broken)
    bench.open("stage")
    recording = bench.record(behind=True)
    bench.produce(3)
    await_step(recording, lambda: recording.state != "recording")
    assert recording.state == "failed"
    assert "ZeroDivisionError" in recording.report()["error"]
    assert list(bench.journal.glob("*.journal"))


def test_a_sleeper_is_woken_by_a_record_and_by_a_ring(bench, alarm):
    bench.open("stage", "meter")
    bench.produce()
    recording = bench.record()
    recording.step()
    for wake in (bench.produce, alarm.ring):
        awaited = recording.awaited()
        assert len(awaited) == 2
        sleeper = threading.Thread(target=alarm.sleep, args=(PATIENCE_SECS, awaited))
        sleeper.start()
        wake()
        sleeper.join(PATIENCE_SECS / 2)
        assert not sleeper.is_alive()
    recording.step()
    assert recording.report()["streams"]["stage"]["durable_rows"] == 2


def test_what_is_there_already_is_not_waited_for(bench, alarm):
    bench.open("stage")
    recording = bench.record()
    bench.produce()
    recording.step()
    bench.produce()
    began = time.monotonic()
    alarm.sleep(PATIENCE_SECS, recording.awaited())
    assert time.monotonic() - began < PATIENCE_SECS


def test_nothing_is_awaited_of_a_ring_whose_end_is_known(bench):
    bench.open("stage")
    recording = bench.record()
    bench.produce()
    bench.end(recording)
    assert recording.awaited() == []
