"""The daemon's desk for recordings: who records, and who does no more."""

from __future__ import annotations

import pytest

from ringdaq.config import parse_rig
from ringdaq.daemon.recordings import RecordingDesk, from_here
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter


class Recorder:
    """Stands for a recorder's connection."""

    def send_event(self, event, params):
        raise AssertionError("nobody has anything to say")


@pytest.fixture
def desk(tmp_path):
    rig = parse_rig('[rig]\nname = "r"\n', tmp_path / "rig.toml")
    return RecordingDesk(rig, tmp_path, lambda recording_id: None)


def test_a_recorder_that_hung_up_is_attached_no_more(desk):
    recorder = Recorder()
    desk.attach(recorder.send_event)
    assert desk.attached
    desk.detach(recorder.send_event)
    assert not desk.attached


def test_an_old_recorder_that_hangs_up_takes_nothing_from_the_new_one(desk):
    old, new = Recorder(), Recorder()
    desk.attach(old.send_event)
    desk.attach(new.send_event)
    desk.detach(old.send_event)
    assert desk.attached


def test_the_next_part_needs_no_generation_that_brings_nothing_any_more(desk, tmp_path):
    spec = StreamSpec("meter", "rows", (Channel("value", "float64"),))
    rings = [StreamWriter.create(tmp_path, spec, capacity_bytes=4096) for _ in range(3)]
    rings[0].close()
    desk.begin(describe(desk, "first", rings), rings)
    rings[1].append(1, 1.0)
    rings[1].close()
    paths = [ring.path for ring in rings]
    assert desk.awaited_rings() == set(paths)
    second = describe(desk, "second", rings)
    desk.hand_over("first", second, {"state": "rotated"})
    assert [entry["path"] for entry in second["streams"]] == [str(p) for p in paths[1:]]
    assert second["continues"] == "first"
    third = describe(desk, "third", rings)
    desk.hand_over("second", third, {"state": "rotated"})
    assert [entry["path"] for entry in third["streams"]] == [str(paths[2])]
    rings[2].close()


def describe(desk, recording_id, rings):
    streams = [from_here(ring, whole=False) for ring in rings]
    return desk.describe(
        recording_id, title="x", user="me", streams=streams, instruments=[], started_nanos=1
    )
