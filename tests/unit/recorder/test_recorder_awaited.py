"""Which rings unfinished recordings still need."""

from ringdaq.recorder.awaited import awaited_rings, newest_description
from ringdaq.recorder.description import parse_description


def test_the_rings_of_an_unfinished_recording_are_awaited_until_it_is_sealed(bench, tmp_path):
    bench.journal = tmp_path / "journals" / "r1"
    bench.open("meter")
    recording = bench.record()
    bench.produce(3)
    recording.step()
    assert awaited_rings(tmp_path / "journals") == {bench.writers["meter"].path}
    assert awaited_rings(tmp_path / "journals", {bench.journal}) == set()
    bench.end(recording)
    assert awaited_rings(tmp_path / "journals") == set()


def test_a_stream_that_came_later_is_awaited_too(bench, tmp_path):
    bench.journal = tmp_path / "journals" / "r1"
    bench.open("meter")
    recording = bench.record()
    recording.step()
    bench.open("eeg")
    recording.update(parse_description(bench.description()))
    recording.step()
    assert awaited_rings(tmp_path / "journals") == {w.path for w in bench.writers.values()}


def test_a_damaged_newest_segment_leaves_the_older_one(bench, tmp_path):
    bench.journal = tmp_path / "journals" / "r1"
    bench.open("meter")
    recording = bench.record()
    recording.step()
    (bench.journal / "segment-99999999.journal").write_bytes(b"nonsense")
    assert newest_description(bench.journal)["recording_id"] == "r1"


def test_what_is_no_journal_needs_nothing(tmp_path):
    assert awaited_rings(tmp_path / "missing") == set()
    (tmp_path / "journals" / "empty").mkdir(parents=True)
    (tmp_path / "journals" / "note.txt").write_text("mine")
    assert awaited_rings(tmp_path / "journals") == set()
