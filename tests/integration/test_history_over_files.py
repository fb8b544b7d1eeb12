"""History out of recorded files: any number of them, one line."""

from __future__ import annotations

import numpy as np
import pytest
from history_stand import HistoryStand

from ringdaq.errors import BadRequestError
from ringdaq.gateway import history_files
from ringdaq.gateway.history_files import MAX_OPEN
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

START = 1_700_000_000_000_000_000
STEP = 1_000_000
METER = StreamSpec("meter", "rows", (Channel("x", "float64", "W"),))


@pytest.fixture
def stand(ring_directory, tmp_path):
    made = HistoryStand(ring_directory, tmp_path)
    yield made
    made.close()


def test_a_query_reaches_over_more_files_than_stay_open(stand, ring_directory):
    count, rows = MAX_OPEN + 3, 20
    times = START + np.arange(count * rows) * STEP
    with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 20) as writer:
        for n, time in enumerate(times):
            writer.append(int(time), float(n))
        for n in range(count):
            stand.save(writer, f"r{n:02d}", n * rows, (n + 1) * rows)
    writer.path.unlink()
    for _ in range(2):  # the second time some of them are open already
        exact = stand.desk.query("meter", START)
        assert np.array_equal(exact.times, times)
        assert np.array_equal(exact.values("x"), np.arange(len(times)))
        folded = stand.desk.query("meter", START, max_points=100)
        assert folded.rows == len(times)
        assert (folded.low("x").min(), folded.high("x").max()) == (0, len(times) - 1)


def test_more_files_than_may_be_open_are_refused(stand, ring_directory, monkeypatch):
    monkeypatch.setattr(history_files, "MAX_AT_ONCE", 2)
    with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 20) as writer:
        for n in range(3):
            writer.append(START + n * STEP, float(n))
            stand.save(writer, f"r{n}", n, n + 1)
    writer.path.unlink()
    assert stand.desk.query("meter", START, START + STEP).rows == 2
    with pytest.raises(BadRequestError, match="lie in 3: give a shorter time"):
        stand.desk.query("meter", START)


LOG = StreamSpec("log", "rows", (Channel("x", "int64"),))


def at_one_time(writer, count, time=START):
    """Rows of one time, numbered by their values."""
    before = writer.statistics().rows
    for n in range(before, before + count):
        writer.append(time, n)


@pytest.fixture
def log(ring_directory):
    with StreamWriter.create(ring_directory, LOG, capacity_bytes=1 << 16) as writer:
        yield writer


@pytest.mark.parametrize("max_points", [None, 20])
def test_rows_of_one_time_at_the_beginning_of_a_ring_come_once(stand, log, max_points):
    at_one_time(log, 30)
    at_one_time(log, 100, START + STEP)
    at_one_time(log, 10, START + 2 * STEP)
    stand.save(log, "r1")
    while log.statistics().rows - log.statistics().held_rows < 60:
        at_one_time(log, 1, START + 2 * STEP)
    assert log.statistics().first_nanos == START + STEP
    found = stand.desk.query("log", START - 1, max_points=max_points)
    assert [part.source for part in found.parts] == ["file", "ring"]
    assert found.rows == log.statistics().rows
    assert found.gaps == []
    if max_points is None:
        assert found.values("x").tolist() == list(range(found.rows))


@pytest.mark.parametrize("max_points", [None, 20])
def test_rows_of_one_time_where_a_file_was_rotated_come_once(stand, log, max_points):
    at_one_time(log, 20)
    at_one_time(log, 20, START + STEP)
    at_one_time(log, 20, START + 2 * STEP)
    stand.save(log, "c-0001", 0, 30, part=1)
    stand.save(log, "c-0002", 30, 35, part=2)
    stand.save(log, "c-0003", 35, 60, part=3)
    log.path.unlink()
    found = stand.desk.query("log", START - 1, max_points=max_points)
    assert found.rows == 60
    if max_points is None:
        assert found.values("x").tolist() == list(range(60))
    assert [gap.reason for gap in found.gaps] == ["not recorded"]  # after the last one


def test_rows_of_one_time_that_two_files_hold_come_once(stand, log):
    at_one_time(log, 20)
    at_one_time(log, 20, START + STEP)
    at_one_time(log, 20, START + 2 * STEP)
    stand.save(log, "r1", 0, 30)
    stand.save(log, "r2", 10, 60)
    log.path.unlink()
    assert stand.desk.query("log", START - 1).values("x").tolist() == list(range(60))


def test_a_single_row_that_two_files_hold_comes_once(stand, log):
    at_one_time(log, 1)
    stand.save(log, "r1")
    stand.save(log, "r2")
    log.path.unlink()
    assert stand.desk.query("log", START - 1).values("x").tolist() == [0]


def test_files_answer_beside_a_new_ring_that_is_empty(stand, log, ring_directory):
    at_one_time(log, 3)
    stand.save(log, "r1")
    log.path.unlink()
    with StreamWriter.create(ring_directory, LOG, capacity_bytes=1 << 16):
        for max_points in (None, 50):
            found = stand.desk.query("log", START - 1, max_points=max_points)
            assert found.values("x").tolist() == [0, 1, 2]
