"""History of a full ring that is written to while it is asked: nothing vanishes without a count."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from history_stand import HistoryStand

from ringdaq.errors import OverrunError, StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.history import SourceHistory
from ringdaq.streams.history_source import RingSource

START = 1_700_000_000_000_000_000
STEP = 1_000_000
METER = StreamSpec("meter", "rows", (Channel("x", "float64", "W"),))
SMALLEST = 1 << 16


def append(writer, count, alike=1):
    """Rows that are numbered by their values, and by their times, so many of which are alike."""
    for n in range(writer.statistics().rows, writer.statistics().rows + count):
        writer.append(START + n // alike * STEP, float(n))


def held(writer):
    now = writer.statistics()
    return now.rows - now.held_rows


@pytest.fixture
def meter(ring_directory):
    """A ring that is full, with 300 rows of it overwritten."""
    with StreamWriter.create(ring_directory, METER, capacity_bytes=SMALLEST) as writer:
        while held(writer) < 300:
            append(writer, 10)
        yield writer


@pytest.fixture
def stand(ring_directory, tmp_path):
    made = HistoryStand(ring_directory, tmp_path)
    yield made
    made.close()


def overtaken(monkeypatch, meter, rows, alike=1):
    """Have so many rows written between a query's looking for rows and its reading them."""
    wait = [True]
    for name in ("rows", "fold"):
        read = getattr(SourceHistory, name)

        def after_more(self, *wanted, read=read):
            if wait and isinstance(self.source, RingSource):
                wait.clear()
                append(meter, rows, alike)
            return read(self, *wanted)

        monkeypatch.setattr(SourceHistory, name, after_more)


def told(found):
    return [(gap.first_nanos, gap.last_nanos, gap.rows, gap.reason) for gap in found.gaps]


@pytest.mark.parametrize("max_points", [None, 50])
@pytest.mark.parametrize("ahead", [0, 5])
def test_rows_overwritten_before_they_are_read_are_counted(
    stand, meter, monkeypatch, max_points, ahead
):
    first = held(meter) + ahead
    end = meter.statistics().rows
    overtaken(monkeypatch, meter, 60)
    found = stand.desk.query(
        "meter", START + first * STEP, START + (end - 1) * STEP, max_points=max_points
    )
    begins = int(found.low("x")[0])
    assert begins > first
    assert found.rows == end - begins
    gap = (START + first * STEP, START + begins * STEP, begins - first, "not recorded")
    assert told(found) == [gap]


@pytest.mark.parametrize("max_points", [None, 50])
def test_rows_overwritten_before_they_are_read_come_from_a_file(
    stand, meter, monkeypatch, max_points
):
    before = held(meter)
    stand.save(meter, "r1", meter.statistics().oldest_sequence)
    append(meter, 40)
    end = meter.statistics().rows
    overtaken(monkeypatch, meter, 60)
    found = stand.desk.query(
        "meter", START + before * STEP, START + (end - 1) * STEP, max_points=max_points
    )
    assert found.rows == end - before
    assert [part.source for part in found.parts] == ["file", "ring"]
    assert told(found) == []
    if max_points is None:
        assert np.array_equal(found.values("x"), np.arange(before, end))


@pytest.mark.parametrize("max_points", [None, 50])
def test_a_file_that_holds_a_part_of_what_was_overwritten_leaves_the_rest_counted(
    stand, meter, monkeypatch, max_points
):
    first = held(meter)
    stand.save(meter, "r1", meter.statistics().oldest_sequence, first + 25)
    end = meter.statistics().rows
    overtaken(monkeypatch, meter, 60)
    found = stand.desk.query(
        "meter", START + first * STEP, START + (end - 1) * STEP, max_points=max_points
    )
    (gap,) = found.gaps
    assert gap.first_nanos == START + (first + 24) * STEP
    assert found.rows + gap.rows == end - first


@pytest.mark.parametrize("max_points", [None, 50])
def test_rows_of_one_time_that_are_overwritten_in_part_come_once(
    stand, ring_directory, monkeypatch, max_points
):
    with StreamWriter.create(ring_directory, METER, capacity_bytes=SMALLEST) as meter:
        while held(meter) < 100:
            append(meter, 1, alike=7)
        stand.save(meter, "r1", meter.statistics().oldest_sequence)
        append(meter, 20, alike=7)
        end = meter.statistics().rows
        overtaken(monkeypatch, meter, 60, alike=7)
        found = stand.desk.query(
            "meter", START, START + (end - 1) // 7 * STEP, max_points=max_points
        )
        assert [part.source for part in found.parts] == ["file", "ring"]
        assert found.rows == end - 100
        assert told(found) == []
        if max_points is None:
            assert np.array_equal(found.values("x"), np.arange(100, end))


def test_rows_that_are_all_overwritten_before_they_are_read_are_counted(stand, meter, monkeypatch):
    first = held(meter)
    times = START + first * STEP, START + (first + 9) * STEP
    overtaken(monkeypatch, meter, 2 * meter.statistics().held_rows)
    found = stand.desk.query("meter", *times)
    assert found.rows == 0
    assert told(found) == [(*times, 10, "not recorded")]


def test_rows_before_the_oldest_are_refused(meter):
    source = RingSource(StreamReader.open(meter.path))
    first, end = source.held()
    assert next(source.pieces(first, end, ["x"])).first_row == first
    with pytest.raises(OverrunError, match=f"row {first - 1} was wanted") as failure:
        list(source.pieces(first - 1, end, ["x"]))
    assert failure.value.lost_rows == 1


def answer(stand, max_points):
    try:
        return stand.desk.query("meter", max_points=max_points)
    except StreamError as error:
        assert "overwritten faster than it can be read" in str(error)  # noqa: PT017
        return None


def test_a_ring_that_is_overwritten_as_a_whole_while_rows_are_looked_for_is_looked_at_again(
    stand, meter, monkeypatch
):
    wait = [True]
    find = RingSource.find

    def after_more(self, nanos):
        if wait:
            wait.clear()
            append(meter, 2 * meter.statistics().held_rows)
        return find(self, nanos)

    monkeypatch.setattr(RingSource, "find", after_more)
    found = stand.desk.query("meter")
    assert found.rows + sum(gap.rows or 0 for gap in found.gaps) > 0
    assert found.values("x").tolist()[-1:] == [meter.statistics().rows - 1]


@pytest.mark.parametrize("max_points", [None, 50])
def test_a_ring_that_is_overwritten_quickly_answers_or_says_that_it_is_too_quick(
    stand, meter, max_points
):
    ended = threading.Event()

    def write():
        while not ended.is_set():
            append(meter, 100)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        answers = [answer(stand, max_points) for _ in range(300)]
    finally:
        ended.set()
        thread.join()
    for found in filter(None, answers):
        assert found.rows or found.gaps[0].rows
        assert np.array_equal(np.diff(found.times), found.counts[:-1] * STEP)
