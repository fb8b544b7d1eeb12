"""Rings of other processes, as the daemon sees them: counters, and what is missing between two."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.daemon.open_rings import ForeignRing, missed_rows
from ringdaq.errors import CorruptRecordError, StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

RATE = Fraction(3_000, 7)
START = 1_700_000_000_000_000_000


def beat(number: int) -> int:
    """When a row of that number is due."""
    return START + int(number * NANOS_PER_SEC / RATE)


def written(directory: Path, *firsts: int, rows: int = 10) -> ForeignRing:
    """A ring with records that begin with the rows of these numbers."""
    spec = StreamSpec("out", "samples", (Channel("a", "float32"),), sample_rate=RATE)
    with StreamWriter.create(directory, spec, capacity_bytes=1 << 16) as writer:
        for first in firsts:
            writer.write_block(beat(first), np.zeros((rows, 1), np.float32))
        return ForeignRing(writer.path, writer.generation, "me")


@pytest.mark.parametrize(
    ("first", "since", "missed"),
    [
        (20, 0, 0),
        (21, 0, 1),
        (5_000, 0, 4_980),
        (5_000, 20, 4_980),
        (5_000, 21, 4_979),
        (5_000, 4_999, 1),
        (5_000, 5_000, 0),
        (5_000, 6_000, 0),
        (3, 0, 0),
    ],
)
def test_rows_are_missing_where_an_even_beat_would_have_brought_them(
    ring_directory: Path, first: int, since: int, missed: int
) -> None:
    before, after = written(ring_directory, 0, 10), written(ring_directory, first)
    assert missed_rows(before, after, beat(since) - 1_000) == missed


def test_the_first_rows_time_is_reckoned_where_it_is_overwritten(ring_directory: Path) -> None:
    after = written(ring_directory, *range(100, 100_000, 500), rows=500)
    assert after.statistics().oldest_sequence > 0
    assert abs((after.first_nanos() or 0) - beat(100)) <= 1


def test_an_empty_ring_and_rows_without_a_beat_count_nothing(ring_directory: Path) -> None:
    before, empty = written(ring_directory, 0), written(ring_directory)
    assert missed_rows(before, empty, START) == 0
    assert empty.first_nanos() is None
    assert not empty.wait_for_first(0.0)
    spec = StreamSpec("rows", "rows", (Channel("a", "float32"),))
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 16) as writer:
        writer.append(START, 1.0)
        rows = ForeignRing(writer.path, writer.generation, "me")
    assert missed_rows(rows, rows, START) == 0


def test_a_ring_that_was_exchanged_is_refused(ring_directory: Path) -> None:
    ring = written(ring_directory, 0)
    with pytest.raises(StreamError, match="should be of the generation 00"):
        ForeignRing(ring.path, "00", "me")


def test_a_damaged_ring_keeps_the_last_counters_that_made_sense(
    ring_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = written(ring_directory, 0, 10)

    def damaged(self: StreamReader) -> None:
        raise CorruptRecordError("damaged for the test")

    monkeypatch.setattr(StreamReader, "statistics", damaged)
    assert ring.statistics().rows == 20
