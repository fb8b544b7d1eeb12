"""A stream whose writer died and was started again: one table, and the hole between is declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringdaq.recorder import describe_file
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.readback import RecordedFile
from ringdaq.streams import StreamWriter

PIPELINE = {
    "name": "alpha",
    "path": "alpha.toml",
    "text": "[pipeline]\n",
    "hash": "abc",
    "parameters": {"band.low": 8.0},
    "code": {"stages/own.py": "GAIN = 2.0\n"},
}


def entry(writer, **changes):
    return {
        "name": writer.spec.name,
        "path": str(writer.path),
        "generation": writer.generation,
        "start_sequence": 0,
        "start_rows": 0,
        "end_sequence": None,
        "end_rows": None,
        "spec": writer.spec.to_dict(),
        **changes,
    }


def ended(writer, **changes):
    now = writer.statistics()
    return entry(writer, end_sequence=now.next_sequence, end_rows=now.rows, **changes)


@pytest.mark.parametrize("missed", [0, 7])
def test_the_hole_between_two_generations_is_one_gap(bench, missed):
    bench.open("eeg")
    first = bench.writers["eeg"]
    recording = bench.record()
    bench.produce(4)
    recording.step()
    first.close()
    bench.open("eeg")
    second = bench.writers["eeg"]
    streams = [entry(first), entry(second, start_rows=-missed, missed="pipeline restarted")]
    recording.update(parse_description(bench.description() | {"streams": streams}))
    recording.step()
    bench.produce(3)
    end = {"state": "completed", "error": None, "ended_nanos": 1, "settings": {}}
    ends = [
        ended(first),
        ended(second, start_rows=-missed, missed="pipeline restarted"),
    ]
    recording.update(parse_description(bench.description() | {"streams": ends, "end": end}))
    while recording.state == "recording":
        recording.step()
    found = recording.report()["streams"]["eeg"]
    assert found["produced_rows"] == found["durable_rows"] + found["gap_rows"]
    assert (found["durable_rows"], found["gap_rows"], found["gaps"]) == (21, missed, 1)
    (gap,) = describe_file(bench.file)["gaps"]
    assert gap["generation"] == second.generation
    assert (gap["reason"], gap["rows"], gap["row"]) == ("pipeline restarted", missed, 12)


def test_what_is_lost_is_counted_once_where_a_generation_does_not_fit(bench, ring_directory):
    bench.open("eeg")
    first = bench.writers["eeg"]
    recording = bench.record()
    bench.produce(4)
    recording.step()
    first.close()
    spec = replace(first.spec, metadata={"cap": "another"})
    second = StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 20)
    bench.writers["eeg"] = second
    missed = {"start_rows": -7, "missed": "pipeline restarted"}
    streams = [entry(first), entry(second, **missed)]
    recording.update(parse_description(bench.description() | {"streams": streams}))
    recording.step()
    bench.produce(3)
    end = {"state": "completed", "error": None, "ended_nanos": 1, "settings": {}}
    ends = [ended(first), ended(second, **missed)]
    recording.update(parse_description(bench.description() | {"streams": ends, "end": end}))
    while recording.state == "recording":
        recording.step()
    found = describe_file(bench.file)
    assert (found["rows"], found["lost_rows"]) == (21, 7)
    kept = {name: (one["durable_rows"], one["gap_rows"]) for name, one in found["streams"].items()}
    assert kept == {"eeg": (12, 0), "eeg_": (9, 7)}
    assert recording.report()["streams"]["eeg"]["produced_rows"] == 28


def test_a_recorder_that_dies_in_between_declares_the_hole_once(bench):
    bench.open("eeg")
    writer = bench.writers["eeg"]
    streams = [entry(writer, start_rows=-5, missed="pipeline restarted")]
    description = bench.description() | {"streams": streams}
    bench.description = lambda **_: description
    recording = bench.record()
    bench.produce(2)
    recording.step()
    recording.close()
    again = bench.record()
    bench.produce(2)
    again.step()
    found = again.report()["streams"]["eeg"]
    assert (found["durable_rows"], found["gap_rows"], found["gaps"]) == (12, 5, 1)
    assert found["produced_rows"] == 17


@pytest.mark.parametrize("later", [False, True])
def test_what_was_computed_on_the_way_is_in_the_file(bench, later):
    bench.open("stage")
    plain = bench.description
    bench.description = lambda **changes: (
        plain(**changes) | ({} if later and not changes.get("end") else {"pipelines": [PIPELINE]})
    )
    recording = bench.record()
    bench.produce(2)
    recording.step()
    bench.end(recording)
    with RecordedFile(bench.file) as file:
        about = file.about()["pipelines"]
    assert about == {"alpha": {k: v for k, v in PIPELINE.items() if k != "name"}}
