"""The shapes of scans, without instruments."""

import itertools
import random

import pytest

from ringdaq.daemon.batching import HOLD_NANOS, Batch
from ringdaq.daemon.plans.shapes import Grid, spread
from ringdaq.daemon.workers import Watch, Worker, inline
from ringdaq.model import Channel, StreamSpec


def test_positions_are_evenly_spaced_and_the_ends_are_exact():
    assert spread(0.0, 1.0, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert spread(2.0, 9.0, 1) == [2.0]
    for _ in range(100):
        start, stop = random.uniform(-9, 9), random.uniform(-9, 9)
        values = spread(start, stop, random.randint(2, 40))
        assert (values[0], values[-1]) == (start, stop)


def test_a_grid_of_three_axes_snakes_on_both_inner_ones():
    grid = list(Grid(([0, 1], [0, 1], [0, 1, 2]), snake=True))
    assert len(grid) == len(set(grid)) == 12
    for before, after in itertools.pairwise(grid):
        assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) == 1


def test_a_grid_that_does_not_snake_begins_each_line_alike():
    assert list(Grid(([0, 1], [5, 6]), snake=False)) == [(0, 5), (0, 6), (1, 5), (1, 6)]


class Ring:
    """Takes records as a stream's writer does."""

    spec = StreamSpec(name="s", kind="rows", channels=(Channel("a", "float64"),))

    def __init__(self):
        self.records = []

    def append(self, time_nanos, *values):
        self.records.append([(time_nanos, *values)])

    def write_rows(self, times, columns):
        self.records.append(list(zip(times, columns["a"], strict=True)))


def test_a_batch_writes_late_rows_at_once_and_quick_ones_together():
    ring = Ring()
    batch = Batch(lambda: ring)
    start = 10 * HOLD_NANOS
    assert batch.add(start, (1.0,))
    assert ring.records == [[(start, 1.0)]]
    for n in range(1, 5):
        batch.add(start + n, (n + 1.0,))
    assert len(ring.records) == 1
    batch.add(start + HOLD_NANOS, (6.0,))
    assert [len(r) for r in ring.records] == [1, 5]
    batch.add(start + HOLD_NANOS + 1, (7.0,))
    batch.close()
    assert [row[1] for record in ring.records for row in record] == [1, 2, 3, 4, 5, 6, 7]
    assert not batch.add(start + 9 * HOLD_NANOS, (8.0,))


@pytest.fixture
def worker():
    worker = Worker("link")
    yield worker
    worker.close()


def test_an_inline_thread_takes_turns_with_the_worker(worker):
    with inline(Watch()):
        assert worker.call(lambda: 1, deadline_secs=5, what="x") == 1
    assert worker.call(lambda: 2, deadline_secs=5, what="x") == 2


def test_a_watch_tells_of_an_inline_call_that_outlives_its_deadline(worker):
    watch = Watch()

    def look():
        assert watch.overdue() is not None
        return "late"

    with inline(watch):
        assert worker.call(look, deadline_secs=0.0, what="read") == "late"
    assert watch.abandoned
    assert worker.call(lambda: "back", deadline_secs=5, what="read") == "back"
