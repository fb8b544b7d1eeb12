"""One recording under faults: what is lost is declared, what is acknowledged stays, all adds up."""

from __future__ import annotations

import errno
import os
import random

import h5py
import numpy as np
import pytest

from ringdaq.errors import CorruptRecordError, RecordingError
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder import describe_file, recover
from ringdaq.recorder import follow as follow_module
from ringdaq.recorder import recording as recording_module
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.recording import Recording
from ringdaq.recorder.seal import unsealed
from ringdaq.streams import StreamReader, StreamWriter


def counters(report, stream="stage"):
    found = report["streams"][stream]
    assert found["produced_rows"] == found["durable_rows"] + found["gap_rows"]
    return found


def positions(path):
    with h5py.File(path) as file:
        return np.rint(file["entry/stage/position"][:] * 10).astype(int)


class FullDisk(Disk):
    """Has no space while `full`."""

    full = False

    def write(self, fd, parts):
        if self.full:
            os.write(fd, b"".join(parts)[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, parts)


def test_rows_wait_in_the_ring_while_the_disk_is_full(bench):
    disk = FullDisk()
    bench.open("stage")
    recording = bench.record(disk=disk)
    bench.produce(10)
    recording.step()
    disk.full = True
    for _ in range(3):
        bench.produce(10)
        recording._retry_at = 0.0
        recording.step()
    report = recording.report()
    assert "No space left" in report["error"]
    assert report["streams"]["stage"]["durable_rows"] == 10
    assert report["streams"]["stage"]["produced_rows"] == 40
    disk.full = False
    report = bench.end(recording)
    assert report["error"] is None
    assert (counters(report)["durable_rows"], counters(report)["gaps"]) == (40, 0)
    np.testing.assert_array_equal(positions(bench.file), np.arange(40))


def test_what_the_ring_cannot_hold_while_the_disk_is_full_becomes_one_gap(bench):
    disk = FullDisk()
    bench.open("stage", capacity_bytes=1 << 16)
    recording = bench.record(disk=disk)
    bench.produce(10)
    recording.step()
    disk.full = True
    bench.produce(1000)
    recording.step()
    disk.full = False
    found = counters(bench.end(recording))
    assert found["produced_rows"] == 1010
    assert (found["gaps"], found["gap_records"]) == (1, found["gap_rows"])
    (gap,) = describe_file(bench.file)["gaps"]
    assert (gap["reason"], gap["first_sequence"], gap["row"]) == ("lapped", 10, 10)
    kept = positions(bench.file)
    np.testing.assert_array_equal(kept[:10], np.arange(10))
    np.testing.assert_array_equal(kept[10:], np.arange(10 + gap["rows"], 1010))


class LosingReader(StreamReader):
    """Finds some records damaged."""

    damaged: frozenset[int] = frozenset()

    def copy_many(self, sequence, end, max_bytes):
        if sequence in self.damaged:
            raise CorruptRecordError("damaged for the test")
        whole = min([n for n in self.damaged if sequence < n < end], default=end)
        return super().copy_many(sequence, whole, max_bytes)


@pytest.mark.parametrize("damaged", [{0}, {3, 4}, {9}, set(range(10))])
def test_damaged_records_of_the_ring_are_gaps_of_exactly_their_rows(bench, monkeypatch, damaged):
    monkeypatch.setattr(LosingReader, "damaged", frozenset(damaged))
    monkeypatch.setattr(follow_module, "StreamReader", LosingReader)
    bench.open("eeg")
    recording = bench.record()
    bench.produce(10)
    recording.step()
    found = counters(bench.end(recording), "eeg")
    assert found["gap_rows"] == 3 * len(damaged)
    assert found["gap_records"] == len(damaged)
    with h5py.File(bench.file) as file:
        kept = file["entry/eeg/samples"][::3, 0]
    assert set(kept) == set(range(10)) - damaged


def test_a_ring_that_is_gone_is_a_gap_up_to_its_end(bench):
    bench.open("stage", "meter")
    description = bench.description()
    bench.produce(7)
    ended = bench.description(end={"state": "completed"})
    bench.writers["meter"].path.unlink()
    recording = Recording(parse_description(description), flush_secs=0.0)
    recording.update(parse_description(ended))
    for _ in range(100):
        recording.step()
    report = recording.report()
    assert report["state"] == "sealed"
    assert counters(report)["durable_rows"] == 7
    assert counters(report, "meter")["gap_rows"] == 7
    assert [gap["reason"] for gap in describe_file(bench.file)["gaps"]] == ["ring gone"]


def test_a_ring_that_went_before_its_end_was_known_is_a_gap_of_unknown_size(bench):
    bench.open("stage")
    recording = bench.record()
    bench.produce(4)
    recording.step()
    recording.close()
    bench.writers["stage"].path.unlink()
    recording = bench.record()
    recording.interrupt()
    for _ in range(100):
        recording.step()
    report = recording.report()
    assert (counters(report)["durable_rows"], counters(report)["gaps"]) == (4, 1)
    (gap,) = describe_file(bench.file)["gaps"]
    assert (gap["rows"], gap["row"]) == (0, 4)
    assert "nobody knows" in gap["reason"]
    assert describe_file(bench.file)["state"] == "interrupted"


def test_a_recording_whose_rings_are_still_written_is_left_to_its_own_recorder(bench, monkeypatch):
    monkeypatch.setattr(recording_module, "WRITERS_GONE_SECS", -1.0)
    bench.open("stage")
    recording = bench.record()
    bench.produce(4)
    recording.interrupt()
    recording.step()
    assert recording.state == "left"
    bench.produce(3)
    assert counters(bench.end(bench.record()))["durable_rows"] == 7


def test_a_recording_may_begin_and_end_in_the_middle_of_a_ring(bench):
    bench.open("stage")
    bench.produce(5)
    plain = bench.description()
    now = bench.writers["stage"].statistics()
    plain["streams"][0] |= {"start_sequence": now.next_sequence, "start_rows": now.rows}
    bench.produce(6)
    now = bench.writers["stage"].statistics()
    plain["streams"][0] |= {"end_sequence": now.next_sequence, "end_rows": now.rows}
    bench.produce(9)
    recording = Recording(parse_description({**plain, "end": {"state": "stopped"}}))
    for _ in range(100):
        recording.step()
    assert counters(recording.report())["produced_rows"] == 6
    np.testing.assert_array_equal(positions(bench.file), np.arange(5, 11))


def test_rows_read_before_the_end_was_known_stay(bench):
    bench.open("stage")
    recording = bench.record()
    bench.produce(5)
    ended = bench.description(end={"state": "completed"})
    bench.produce(3)
    recording.step()
    recording.update(parse_description(ended))
    for _ in range(100):
        recording.step()
    assert counters(recording.report())["produced_rows"] == 8
    np.testing.assert_array_equal(positions(bench.file), np.arange(8))


def test_any_order_of_kills_writes_and_flushes_adds_up(bench):
    chance = random.Random(3)
    bench.open("stage", "eeg", "events", capacity_bytes=1 << 16)
    recording = bench.record()
    for _ in range(60):
        act = chance.random()
        if act < 0.5:
            bench.produce(chance.randrange(1, 60))
        elif act < 0.8:
            recording.step()
        else:
            recording.close()
            recording = bench.record()
    report = bench.end(recording)
    for stream, factor in (("stage", 1), ("eeg", 3), ("run.r1", 1)):
        assert counters(report, stream)["produced_rows"] == bench.made * factor
    gaps = [gap for gap in describe_file(bench.file)["gaps"] if gap["stream"] == "stage"]
    lost = {n for g in gaps for n in range(g["first_sequence"], g["first_sequence"] + g["records"])}
    kept = positions(bench.file)
    assert sorted([*kept, *lost]) == list(range(bench.made))


def test_a_file_that_cannot_be_written_is_made_anew_from_the_journal(bench):
    bench.open("stage")
    recording = bench.record()
    bench.produce(10)
    recording.step()
    broken = recording.file._live._file  # what a full disk leaves: HDF5 that fails at every call
    broken.close()
    bench.produce(10)
    recording.step()
    assert "cannot be written" in recording.report()["error"]
    assert recording.report()["streams"]["stage"]["durable_rows"] == 20
    recording.file._retry_at = 0.0
    assert counters(bench.end(recording))["durable_rows"] == 20
    np.testing.assert_array_equal(positions(bench.file), np.arange(20))


def test_a_file_that_differs_from_its_journal_is_not_sealed_but_made_anew(bench):
    bench.open("stage")
    recording = bench.record()
    bench.produce(10)
    recording.step()
    recording.file._live._file["entry/stage/position"][3] = 99.0
    report = bench.end(recording)
    assert report["state"] == "sealed"
    np.testing.assert_array_equal(positions(bench.file), np.arange(10))


def test_an_open_journal_has_one_writer(bench):
    bench.open("stage")
    bench.record().step()
    with pytest.raises(BlockingIOError):
        bench.record()
    with pytest.raises(RecordingError, match="a recorder writes this journal now"):
        recover(bench.journal)


def test_what_is_not_sealed_is_found_again(bench):
    bench.open("stage")
    recording = bench.record()
    recording.step()
    assert list(unsealed(bench.path)) == [bench.journal]
    bench.end(recording)
    assert list(unsealed(bench.path)) == []


def test_a_journal_that_is_not_kept_goes_when_the_file_is_sealed(bench):
    bench.open("stage")
    recording = bench.record(keep_journal=False)
    bench.produce(3)
    bench.end(recording)
    assert list(bench.journal.glob("*.journal")) == []
    assert describe_file(bench.file)["sealed"]


def test_a_recovered_file_of_a_cut_journal_is_marked_interrupted(bench, tmp_path):
    bench.open("stage")
    recording = bench.record()
    for rows in (9, 1):
        bench.produce(rows)
        recording.step()
    recording.close()
    (segment,) = bench.journal.glob("*.journal")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 50)
    report = recover(bench.journal, output=tmp_path / "cut.h5")
    assert report.state == "interrupted"
    assert report.streams["stage"]["durable_rows"] == 9
    assert len(report.damage) == 1
    assert describe_file(tmp_path / "cut.h5")["state"] == "interrupted"


def test_a_directory_without_a_journal_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="found none"):
        recover(tmp_path)
    with pytest.raises(RecordingError, match="found none"):
        recover(tmp_path / "nowhere")


def test_a_description_without_streams_is_refused():
    with pytest.raises(RecordingError, match="missing: directory, streams"):
        parse_description({"recording_id": "r", "file": "x.h5"})


ODD = ["a/b", ".", "..", "%2F", "x" * 1000, "ä µ", "time ", "missing", "value", "nul\0"]


def test_odd_names_and_long_texts_are_stored_and_found_again(bench, ring_directory):
    long_text = "µ" * 70_000
    spec = StreamSpec(
        "data",
        "rows",
        tuple(Channel(name, "float64", description=long_text) for name in ODD),
        metadata={"note": long_text},
    )
    writer = StreamWriter.create(ring_directory, spec, capacity_bytes=8 << 20)
    writer.append(1, *[float(n) for n in range(len(ODD))])
    bench.writers = {"odd": writer}
    report = bench.end(bench.record())
    assert report["state"] == "sealed", report
    with h5py.File(bench.file) as file:
        assert file["entry/data"].attrs["NX_class"] == "NXdata"
        group = file["entry/data_"]
        found = {
            dataset.attrs["name"]: dataset[0]
            for dataset in group.values()
            if isinstance(dataset, h5py.Dataset) and "name" in dataset.attrs
        }
        assert group.attrs["stream"] == "data"
        assert group.attrs["metadata"] == f'{{"note": "{long_text}"}}'
        assert group["a%2Fb"].attrs["description"] == long_text
    wanted = [name.replace("\0", "\\x00") for name in ODD]
    assert found == {name: float(n) for n, name in enumerate(wanted)}
