"""A thread behind the journal keeps the file up to it, and rows can be durable at once."""

from __future__ import annotations

import threading
import time

import h5py
import pytest

from ringdaq.recorder import behind, describe_file, file, recover
from ringdaq.recorder.alarm import Alarm
from ringdaq.recorder.group import StreamGroup

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


def test_a_run_has_its_first_moments_to_itself_and_a_short_one_its_file_at_its_end(
    bench, monkeypatch
):
    monkeypatch.setattr(behind, "FIRST_SECS", 10 * PATIENCE_SECS)
    bench.open("stage")
    recording = bench.record(behind=True)
    for _ in range(50):
        bench.produce()
        recording.step()
    assert recording.report()["streams"]["stage"]["durable_rows"] == 50
    assert not bench.file.exists()
    report = bench.end(recording)
    assert report["state"] == "sealed"
    with h5py.File(bench.file) as file:
        assert len(file["entry/stage/value"]) == 50


def test_what_is_too_much_to_wait_for_is_read_from_the_journal(bench, monkeypatch):
    monkeypatch.setattr(behind, "WAITING_BYTES", 0)
    bench.open("stage")
    recording = bench.record(behind=True)
    bench.produce(50)
    recording.step()
    report = bench.end(recording)
    assert report["state"] == "sealed"
    assert report["streams"]["stage"]["durable_rows"] == 50


def test_a_thread_that_breaks_is_told_and_the_journal_goes_on_to_its_end(bench, monkeypatch):
    def broken(self, next_entry, *, ended):
        raise ZeroDivisionError("broken for the test")

    monkeypatch.setattr(behind.FileKeeper, "step", broken)
    bench.open("stage")
    recording = bench.record(behind=True)
    bench.produce(3)
    await_step(recording, lambda: "ZeroDivisionError" in recording.trouble)
    bench.produce(3)
    recording.step()
    assert recording.state == "recording"
    report = bench.end(recording)
    assert report["state"] == "failed"
    assert "ZeroDivisionError" in report["error"]
    assert report["streams"]["stage"]["durable_rows"] == 6
    monkeypatch.undo()
    assert recover(bench.journal).streams["stage"]["durable_rows"] == 6


@pytest.mark.parametrize("behind", [False, True])
def test_a_mistake_in_writing_the_file_costs_neither_rows_nor_the_file(bench, monkeypatch, behind):
    bench.open("stage")
    recording = bench.record(behind=behind)
    bench.produce(3)
    recording.step()
    with monkeypatch.context() as patch:
        patch.setattr(StreamGroup, "add", lambda *_: 1 / 0)
        bench.produce(3)
        await_step(recording, lambda: "ZeroDivisionError" in recording.trouble)
        bench.produce(3)
        recording.step()
        assert recording.report()["streams"]["stage"]["durable_rows"] == 9
        assert recording.state == "recording"
    report = bench.end(recording)
    assert (report["state"], report["error"]) == ("sealed", None)
    assert describe_file(bench.file)["rows"] == 9


def test_a_file_that_a_mistake_keeps_from_its_end_is_given_up_there(bench, monkeypatch):
    monkeypatch.setattr(file, "FIRST_RETRY_SECS", 0.0)
    monkeypatch.setattr(StreamGroup, "add", lambda *_: 1 / 0)
    bench.open("stage")
    recording = bench.record()
    recording.file._retry_secs = 0.0
    bench.produce(3)
    for _ in range(10):
        recording.step()
    assert recording.state == "recording"
    report = bench.end(recording)
    assert report["state"] == "failed"
    assert "ZeroDivisionError" in report["error"]


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
