"""How much memory old rings may hold, which of them go first, and which stay for a recording."""

import threading

import pytest

from ringdaq.daemon import old_rings
from ringdaq.daemon.old_rings import CLOSED_AT_ONCE, RETENTION_SECS, OldRings, Sweeper, held_bytes
from ringdaq.daemon.sizing import RingPlan
from ringdaq.errors import RingSpaceError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamWriter

SPEC = StreamSpec("x", "rows", (Channel("x", "int64"),))
CAPACITY = 1 << 20


@pytest.fixture
def rings(ring_directory):
    return RingDirectory(ring_directory)


@pytest.fixture(autouse=True)
def _no_least(monkeypatch):
    monkeypatch.setattr(old_rings, "LEAST_KEPT_BYTES", 0)


def create(rings):
    return StreamWriter.create(rings.path, SPEC, capacity_bytes=CAPACITY)


def dead(rings, count):
    """Rings that were closed, old to new."""
    writers = [create(rings) for _ in range(count)]
    for writer in writers:
        writer.close()
    return [writer.path for writer in writers]


def plans(size):
    return [RingPlan("x", size, size, None, None)]


def test_the_oldest_go_until_the_others_take_twice_the_new_ones(rings):
    paths, alive = dead(rings, 6), create(rings)
    OldRings(rings, set).make_room(plans(held_bytes(paths[0])))
    assert rings.generations("x") == [*paths[-2:], alive.path]
    alive.append(0, 0)


def test_a_small_rig_may_keep_more(rings, monkeypatch):
    paths = dead(rings, 6)
    monkeypatch.setattr(old_rings, "LEAST_KEPT_BYTES", 4 * held_bytes(paths[0]))
    OldRings(rings, set).make_room(plans(1000))
    assert rings.generations("x") == paths[-4:]


def test_what_a_recording_needs_stays_beyond_the_limit(rings):
    paths = dead(rings, 5)
    OldRings(rings, lambda: set(paths[:2])).make_room(plans(1))
    assert rings.generations("x") == paths[:2]


def test_recordings_are_asked_only_when_something_must_go(rings):
    paths = dead(rings, 2)
    old = OldRings(rings, lambda: pytest.fail("nothing had to go"))
    old.make_room(plans(held_bytes(paths[0])))
    old.sweep(0.0)
    assert rings.generations("x") == paths


def test_where_memory_lacks_what_a_recording_needs_goes_last(rings, monkeypatch, caplog):
    paths = dead(rings, 4)
    size = held_bytes(paths[0])
    free = lambda: (4 - len(rings.dead("x"))) * size  # noqa: E731
    monkeypatch.setattr(rings, "free_bytes", free)
    OldRings(rings, lambda: {paths[0]}).make_room(plans(2 * size))
    assert rings.generations("x") == [paths[0], paths[3]]
    assert "recording" not in caplog.text
    OldRings(rings, lambda: {paths[0]}).make_room(plans(4 * size))
    assert rings.generations("x") == []
    assert f"a recording lacks what it had not read: {paths[0]}" in caplog.text


def test_nothing_is_given_up_for_rings_that_cannot_fit(rings, monkeypatch):
    paths = dead(rings, 3)
    monkeypatch.setattr(rings, "free_bytes", lambda: 0)
    with pytest.raises(RingSpaceError, match="need"):
        OldRings(rings, set).make_room(plans(1 << 40))
    assert rings.generations("x") == paths


def test_rings_stay_for_the_retention_time_and_those_of_recordings_longer(rings):
    paths, alive = dead(rings, 3), create(rings)
    half_made = rings.path / ".x.00000009.ring.1"
    half_made.write_bytes(b"half")
    old = OldRings(rings, lambda: {paths[1]})
    old.sweep(10.0)
    old.sweep(9.0 + RETENTION_SECS)
    assert rings.generations("x") == [*paths, alive.path]
    old.sweep(10.0 + RETENTION_SECS)
    assert rings.generations("x") == [paths[1], alive.path]
    assert not half_made.exists()


def test_at_the_end_all_memory_is_given_back_but_what_a_recording_needs(rings):
    paths = dead(rings, 3)
    OldRings(rings, lambda: {paths[2]}).close()
    assert rings.generations("x") == [paths[2]]
    OldRings(rings, set).close()
    assert not rings.path.exists()


def test_many_closed_rings_are_looked_at_soon(rings):
    looked = threading.Event()

    class Watched(OldRings):
        def trim(self):
            looked.set()

    sweeper = Sweeper(Watched(rings, set))
    sweeper.start()
    for _ in range(CLOSED_AT_ONCE - 1):
        sweeper.ring_closed()
    assert not looked.is_set()
    sweeper.ring_closed()
    assert looked.wait(20)
    assert sweeper.stop()
