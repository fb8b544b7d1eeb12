"""The shapes of scans, without instruments."""

import itertools
import random
import threading

import pytest

from ringdaq.daemon.plans.shapes import Grid, spread
from ringdaq.daemon.workers import Watch, Worker, inline


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


def test_a_call_that_came_back_at_the_last_moment_is_not_given_up(worker):
    watch = Watch()

    class Ended(tuple):
        """Looks as if the call ended while it was found overdue."""

        def __getitem__(self, index):
            watch.busy = None
            return super().__getitem__(index)

    watch.busy = Ended((worker, "read", -1.0, 0.0))
    assert watch.overdue() is None
    assert not watch.abandoned
    assert worker.call(lambda: "well", deadline_secs=5, what="read") == "well"


def test_who_waits_for_an_inline_caller_is_let_in(worker):
    """However quickly the inline caller comes again."""
    calls, let_in = 0, threading.Event()

    def other():
        with inline(Watch()):
            worker.call(let_in.set, deadline_secs=30, what="other")

    with inline(Watch()):
        started = worker.call(lambda: threading.Thread(target=other), deadline_secs=5, what="x")
        started.start()
        while not let_in.is_set():
            worker.call(lambda: None, deadline_secs=5, what="again")
            calls += 1
            assert calls < 5_000_000
    started.join(30)
