"""A link's worker: one call at a time, and nobody waits for ever."""

import threading

import pytest

from ringdaq.daemon.workers import QUEUE_LENGTH, Watch, Worker, inline
from ringdaq.errors import BusyError, InstrumentTimeoutError


@pytest.fixture
def worker():
    worker = Worker("link")
    yield worker
    worker.close()


def test_a_call_gives_back_what_the_function_returns(worker):
    assert worker.call(lambda: 42, deadline_secs=5, what="ask") == 42


def test_an_error_of_the_function_reaches_the_caller(worker):
    with pytest.raises(ValueError, match="no such axis"):
        worker.call(
            lambda: (_ for _ in ()).throw(ValueError("no such axis")), deadline_secs=5, what="x"
        )


def test_calls_run_on_one_thread(worker):
    idents = {worker.call(threading.get_ident, deadline_secs=5, what="x") for _ in range(5)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_a_late_call_is_told_and_later_ones_are_refused_until_it_returns(worker):
    release, done = threading.Event(), threading.Event()

    def hang():
        release.wait(30)
        done.set()

    with pytest.raises(InstrumentTimeoutError, match=r"stage\.move should end within"):
        worker.call(hang, deadline_secs=0.05, what="stage.move")
    with pytest.raises(InstrumentTimeoutError, match=r"stage\.move has not come back"):
        worker.call(lambda: 1, deadline_secs=5, what="stage.position")
    release.set()
    assert done.wait(10)
    deadline = threading.Event()
    for _ in range(1000):
        try:
            assert worker.call(lambda: 1, deadline_secs=5, what="stage.position") == 1
            break
        except InstrumentTimeoutError:
            deadline.wait(0.01)
    else:
        pytest.fail("the worker never recovered")


def test_a_full_queue_refuses_instead_of_growing(worker):
    release, started = threading.Event(), threading.Event()

    def hang():
        started.set()
        release.wait(30)

    first = threading.Thread(
        target=lambda: worker.call(hang, deadline_secs=60, what="hang"), daemon=True
    )
    first.start()
    assert started.wait(10)
    waiting = [
        threading.Thread(
            target=lambda: worker.call(lambda: None, deadline_secs=60, what="wait"), daemon=True
        )
        for _ in range(QUEUE_LENGTH)
    ]
    for thread in waiting:
        thread.start()
    poll = threading.Event()
    for _ in range(1000):
        if worker.waiting == QUEUE_LENGTH:
            break
        poll.wait(0.01)
    with pytest.raises(BusyError, match="try again later"):
        worker.call(lambda: None, deadline_secs=60, what="one too many")
    release.set()
    for thread in [first, *waiting]:
        thread.join(30)
        assert not thread.is_alive()


def test_a_call_that_ends_as_it_is_given_up_blocks_nobody(worker, monkeypatch):
    release, give_up = threading.Event(), worker.give_up

    def after_its_end(what, deadline_secs):
        release.set()
        with worker._turn:  # which the worker holds until the call has ended
            pass
        return give_up(what, deadline_secs)

    monkeypatch.setattr(worker, "give_up", after_its_end)
    with pytest.raises(InstrumentTimeoutError, match="should end within"):
        worker.call(lambda: release.wait(30), deadline_secs=0.01, what="meter.read")
    assert worker.call(lambda: 1, deadline_secs=30, what="meter.read") == 1


def test_an_inline_thread_whose_call_was_given_up_carries_out_no_other(worker):
    watch = Watch()

    def look():
        assert watch.overdue() is not None

    with inline(watch):
        worker.call(look, deadline_secs=0.0, what="meter.read")
        with pytest.raises(InstrumentTimeoutError, match=r"stage\.move_abs is not carried out"):
            worker.call(lambda: 1, deadline_secs=5, what="stage.move_abs")
