"""What is saved of a ring after the fact: from a moment on, as far as it lasts until then."""

from __future__ import annotations

import pytest

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.daemon.keeping import past_of
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

SPEC = StreamSpec("meter", "rows", (Channel("value", "float64"),))
STEP = NANOS_PER_SEC // 10


@pytest.fixture
def writer(ring_directory):
    with StreamWriter.create(ring_directory, SPEC, capacity_bytes=1 << 16) as made:
        yield made


def fill(writer, rows):
    for number in range(rows):
        writer.append(number * STEP, float(number))


def test_all_of_a_ring_that_is_not_full_is_saved(writer):
    fill(writer, 20)
    saved = past_of(writer.path, 0)
    assert (saved["start_sequence"], saved["start_rows"], saved["end_rows"]) == (0, 0, 20)


def test_it_begins_with_the_moment_that_was_asked_for(writer):
    fill(writer, 20)
    assert past_of(writer.path, 15 * STEP)["start_rows"] == 15
    assert past_of(writer.path, 20 * STEP) is None


def test_what_a_full_ring_overwrites_next_is_left_out(writer):
    fill(writer, 1000)
    now = writer.statistics()
    assert now.oldest_sequence > 0
    saved = past_of(writer.path, 0)
    assert saved["start_sequence"] == now.oldest_sequence + 5  # half a second
    assert saved["start_rows"] == saved["start_sequence"]


def test_a_full_ring_that_is_closed_is_saved_whole(writer):
    fill(writer, 1000)
    oldest = writer.statistics().oldest_sequence
    writer.close()
    assert past_of(writer.path, 0)["start_sequence"] == oldest
