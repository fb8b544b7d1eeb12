"""What is damaged in a journal is a declared gap, wherever it lies, and nothing else is lost."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ringdaq.recorder import describe_file, recover
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.entries import Manifest, RecordsEntry, StreamOpened
from ringdaq.recorder.recording import Recording
from ringdaq.recorder.scan import SegmentReader

DAMAGED = "damaged journal"


def damage(bench, *chosen):
    """Flip a bit in those entries of a journal's first segment."""
    path = min(bench.journal.glob("*.journal"))
    content = bytearray(path.read_bytes())
    for entry in SegmentReader(path).entries():
        if any(choice(entry.body) for choice in chosen):
            content[entry.end - 12] ^= 1
    path.write_bytes(content)


def records(stream, *sequences):
    return lambda body: (
        isinstance(body, RecordsEntry) and body.stream == stream and body.sequence in sequences
    )


def opening(stream):
    return lambda body: isinstance(body, StreamOpened) and body.index == stream


def record(bench, rows, **options):
    recording = bench.record(**options)
    for _ in range(rows):
        bench.produce()
        recording.step()
    return recording


def interrupt(bench, recording):
    for writer in bench.writers.values():
        writer.close()
    recording.interrupt()
    while recording.state == "recording":
        recording.step()


def rows(report):
    return {name: (one["durable_rows"], one["gap_rows"]) for name, one in report.streams.items()}


@pytest.mark.parametrize("end", [type(None), "completed"])
def test_the_last_entries_of_a_stream_are_a_gap(bench, tmp_path, end):
    bench.open("meter", "eeg")
    recording = record(bench, 10)
    if end == "completed":
        bench.end(recording)
    else:
        interrupt(bench, recording)
    damage(bench, records(1, 8, 9))
    report = recover(bench.journal, output=tmp_path / "again.h5")
    assert rows(report) == {"meter": (10, 0), "eeg": (24, 6)}
    (gap,) = describe_file(tmp_path / "again.h5")["gaps"]
    assert (gap["stream"], gap["reason"]) == ("eeg", DAMAGED)
    assert (gap["row"], gap["first_sequence"], gap["records"], gap["rows"]) == (24, 8, 2, 6)


def test_a_gap_of_damage_stands_before_the_first_row_after_it(bench, tmp_path):
    bench.open("meter", "stage")
    record(bench, 10).close()
    damage(bench, records(0, 3, 4), records(1, 6))
    recover(bench.journal, output=tmp_path / "again.h5")
    gaps = describe_file(tmp_path / "again.h5")["gaps"]
    assert [(gap["stream"], gap["row"], gap["rows"]) for gap in gaps] == [
        ("meter", 3, 2),
        ("stage", 6, 1),
    ]


def test_a_segment_tells_what_the_one_before_it_lacks(bench, tmp_path):
    bench.open("meter", "stage")
    record(bench, 5).close()
    recording = bench.record()
    bench.writers["stage"].append(1, 1.0)
    recording.step()  # a recorder that goes on begins a segment
    recording.close()
    damage(bench, records(0, 3, 4))
    report = recover(bench.journal, output=tmp_path / "again.h5")
    assert rows(report) == {"meter": (3, 2), "stage": (6, 0)}
    (gap,) = describe_file(tmp_path / "again.h5")["gaps"]
    assert (gap["stream"], gap["rows"], gap["reason"]) == ("meter", 2, DAMAGED)


def test_what_is_damaged_is_read_again_while_its_ring_has_it(bench):
    bench.open("meter", "stage")
    record(bench, 5).close()
    damage(bench, records(0, 3, 4))
    report = bench.end(record(bench, 1))
    assert (report["streams"]["meter"]["durable_rows"], report["streams"]["meter"]["gaps"]) == (
        6,
        0,
    )


@pytest.mark.parametrize("stream", [0, 1])
def test_a_stream_whose_name_is_damaged_is_known_from_the_description(bench, tmp_path, stream):
    bench.open("meter", "eeg")
    bench.end(record(bench, 4))
    damage(bench, opening(stream))
    report = recover(bench.journal, output=tmp_path / "again.h5")
    assert rows(report) == {"meter": (4, 0), "eeg": (12, 0)}
    assert len(report.damage) == 1
    with h5py.File(tmp_path / "again.h5") as file:
        np.testing.assert_array_equal(file["entry/meter/value"], np.arange(4) * 2.0)
        np.testing.assert_array_equal(file["entry/eeg/samples"][::3, 0], np.arange(4))


@pytest.mark.parametrize("stream", [0, 1])
def test_a_recorder_goes_on_with_a_stream_whose_name_is_damaged(bench, stream):
    bench.open("meter", "eeg")
    record(bench, 4).close()
    damage(bench, opening(stream))
    recording = record(bench, 3)
    assert bench.end(recording)["state"] == "sealed"
    found = {name: one["rows"] for name, one in describe_file(bench.file)["streams"].items()}
    assert found == {"meter": 7, "eeg": 21}
    with h5py.File(bench.file) as file:
        np.testing.assert_array_equal(file["entry/meter/value"], np.arange(7) * 2.0)


def test_a_recorder_goes_on_with_a_journal_whose_description_is_damaged(bench, tmp_path):
    bench.open("meter", "eeg")
    record(bench, 4).close()
    damage(bench, lambda body: isinstance(body, Manifest))
    recording = bench.record()
    kept = {name: one["durable_rows"] for name, one in recording.report()["streams"].items()}
    assert kept == {"meter": 4, "eeg": 12}
    bench.produce()
    recording.step()
    assert bench.end(recording)["state"] == "sealed"
    report = recover(bench.journal, output=tmp_path / "again.h5")
    assert rows(report) == {"meter": (5, 0), "eeg": (15, 0)}


def test_packed_images_whose_schema_is_damaged_are_a_gap(bench, tmp_path):
    bench.open("camera", "meter")
    storage = {"codec": "lz4"}
    recording = Recording(parse_description(bench.description(storage=storage)), flush_secs=0.0)
    bench.recordings.append(recording)
    bench.produce(5)
    recording.step()
    plain = bench.description
    bench.description = lambda **changes: plain(**changes, storage=storage)
    assert bench.end(recording)["state"] == "sealed"
    damage(bench, opening(0))
    report = recover(bench.journal, output=tmp_path / "again.h5")
    assert rows(report) == {"camera": (0, 5), "meter": (5, 0)}
    (gap,) = describe_file(tmp_path / "again.h5")["gaps"]
    assert (gap["stream"], gap["rows"], gap["reason"]) == ("camera", 5, DAMAGED)


def test_a_recorder_that_goes_on_packs_images_whose_schema_is_damaged(bench):
    bench.open("camera")
    storage = {"codec": "lz4"}
    plain = bench.description
    bench.description = lambda **changes: plain(**changes, storage=storage)
    record(bench, 2).close()
    damage(bench, opening(0))
    report = bench.end(record(bench, 3))
    assert report["state"] == "sealed"
    found = report["streams"]["camera"]
    assert (found["durable_rows"], found["gap_rows"]) == (5, 0)
