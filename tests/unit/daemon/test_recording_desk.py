"""The daemon's desk for recordings: who records, and who does no more."""

from __future__ import annotations

import pytest

from ringdaq.config import parse_rig
from ringdaq.daemon.recordings import RecordingDesk


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
