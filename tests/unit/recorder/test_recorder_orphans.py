"""A recording that nobody describes any more is finished with all that was said of it."""

from __future__ import annotations

import time

import pytest

from ringdaq.recorder import describe_file
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.rebuild import orphan_description
from ringdaq.recorder.recording import Recording

PATIENCE_SECS = 20.0
END = {"state": "completed", "error": None, "ended_nanos": 1, "settings": {}}


def finish(bench):
    """What a recorder does with a journal that it only found."""
    recording = Recording(orphan_description(bench.journal), flush_secs=0.0)
    bench.recordings.append(recording)
    recording.interrupt()
    deadline = time.monotonic() + PATIENCE_SECS
    while recording.state == "recording":
        recording.step()
        assert time.monotonic() < deadline, recording.report()
    return recording.report()


@pytest.fixture
def left(bench):
    """A recording that was left behind: `eeg` began later, and has rows that nobody has kept."""
    bench.open("meter")
    recording = bench.record()
    bench.produce(3)
    recording.step()
    bench.open("eeg")
    recording.update(parse_description(bench.description()))
    recording.step()
    bench.left = recording
    return bench


def test_an_orphan_is_kept_with_the_streams_that_began_later(left):
    left.left.close()
    left.produce(2)
    for writer in left.writers.values():
        writer.close()
    report = finish(left)
    assert report["state"] == "sealed"
    rows = {name: one["durable_rows"] for name, one in report["streams"].items()}
    assert rows == {"meter": 5, "eeg": 6}
    found = describe_file(left.file)
    assert (found["rows"], found["lost_rows"], found["state"]) == (11, 0, "interrupted")


def test_an_orphan_ends_as_its_newest_description_says(left, monkeypatch):
    left.produce(2)
    left.left.update(parse_description(left.description(end=END)))
    # The recorder dies when it has noted what is to end, and not yet that it has.
    monkeypatch.setattr(left.left, "_at_end", lambda *_: False)
    left.left.step()
    left.left.close()
    left.produce(4)
    for writer in left.writers.values():
        writer.close()
    report = finish(left)
    assert report["streams"]["meter"]["produced_rows"] == 5
    assert describe_file(left.file)["state"] == "completed"
