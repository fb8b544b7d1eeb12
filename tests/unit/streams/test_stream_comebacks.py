"""Streams whose rings were removed meanwhile, followers that were interrupted, and odd times."""

import signal
import threading

import numpy as np
import pytest

from ringdaq.errors import ClosedStreamError, OverrunError, StreamError
from ringdaq.streams import Following, RingDirectory, StreamReader, StreamWriter, attach


def create(directory, spec, capacity_bytes=1 << 16):
    return StreamWriter.create(directory, spec, capacity_bytes=capacity_bytes)


def value(record):
    return int(record.columns()["x"][0])


def restarted(directory, spec):
    """End a stream, remove all its rings, and begin it anew; the new writer."""
    rings = RingDirectory(directory)
    for path in rings.generations(spec.name):
        rings.remove(path)
    return create(directory, spec)


def test_a_stream_goes_on_after_all_its_rings_were_removed(tmp_path, scalar_spec):
    for x in range(3):  # its number is higher than that of what comes later
        first = create(tmp_path, scalar_spec)
        first.append(x, x)
        if x < 2:
            first.close()
    stream = attach(scalar_spec.name, directory=tmp_path)
    assert value(stream.latest()) == 2
    first.close()
    second = restarted(tmp_path, scalar_spec)
    second.append(10, 10)
    assert value(stream.latest()) == 10
    assert [value(record) for record in stream.snapshot()] == [10]
    second.close()


def test_what_was_removed_stays_readable_until_the_stream_goes_on(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec)
    writer.append(1, 1)
    stream = attach(scalar_spec.name, directory=tmp_path)
    writer.close()
    RingDirectory(tmp_path).remove(writer.path)
    assert value(stream.latest()) == 1


def test_a_follower_goes_on_after_all_rings_were_removed(tmp_path, scalar_spec):
    first = create(tmp_path, scalar_spec)
    first.append(1, 1)
    stream = attach(scalar_spec.name, directory=tmp_path)
    follower = stream.follow("oldest", timeout=30)
    assert value(next(follower)) == 1
    first.close()
    second = restarted(tmp_path, scalar_spec)
    second.append(2, 2)
    assert value(next(follower)) == 2
    second.close()


def test_a_follower_that_timed_out_goes_on(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec) as writer:
        follower = StreamReader.open(writer.path).follow(0, timeout=0.01)
        assert list(follower) == []
        writer.append(1, 1)
        assert [value(record) for record in follower] == [1]


class SignalError(Exception):
    """What a signal raises here."""


@pytest.fixture
def interrupt():
    """Does something, interrupted soon by a signal that no surroundings have set aside."""

    def interrupted(*_):
        raise SignalError

    def interrupting(work):
        threading.Timer(0.05, *send).start()
        work()

    send = signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, interrupted)
    yield interrupting
    signal.signal(signal.SIGUSR1, before)


def test_a_follower_that_was_interrupted_goes_on(tmp_path, scalar_spec, interrupt):
    with create(tmp_path, scalar_spec) as writer:
        follower = StreamReader.open(writer.path).follow(0, timeout=30.0)
        with pytest.raises(SignalError):
            interrupt(lambda: next(follower))
        writer.append(1, 1)
        assert value(next(follower)) == 1


def test_a_follower_that_is_waited_for_cannot_be_asked_again(tmp_path, scalar_spec):
    def asked_again(_):
        next(follower)

    with create(tmp_path, scalar_spec) as writer:
        reader = StreamReader.open(writer.path)
        follower = Following(reader, 0, timeout=0.01, successor=asked_again)
        with pytest.raises(StreamError, match="another thread"):
            next(follower)
        writer.append(1, 1)
        assert value(next(follower)) == 1


def test_a_follower_of_a_closed_reader_is_told_so(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec) as writer:
        reader = StreamReader.open(writer.path)
        follower = reader.follow(0, timeout=0.01)
        writer.append(1, 1)
        reader.close()
        with pytest.raises(ClosedStreamError):
            next(follower)


def test_rows_that_are_lost_again_and_again_are_counted_once(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec, 4096) as writer:
        writer.append(0, 0)
        reader = StreamReader.open(writer.path)
        follower = reader.follow(0, timeout=0.01)
        assert value(next(follower)) == 0
        for lap in range(1, 4):
            for x in range(5000 * lap - 4999, 5000 * lap + 1):
                writer.append(x, x)
                reader.latest()
            with pytest.raises(OverrunError):
                next(follower)
        seen = [value(record) for record in follower]
        found = follower.statistics()
    assert seen[-1] == 15000
    assert found.lost_rows == found.lost_records == 15000 - len(seen)


def test_a_follower_knows_what_it_lost_beside_other_readers_of_its_ring(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec, 4096) as writer:
        writer.append(0, 0)
        reader = StreamReader.open(writer.path)
        follower = reader.follow(0, skip_lost=True, timeout=0.01)
        assert value(next(follower)) == 0
        for x in range(1, 4000):
            writer.append(x, x)
            if x % 50 == 0:
                reader.latest()
        seen = [value(record) for record in follower]
        found = follower.statistics()
    assert seen[-1] == 3999
    assert found.lost_rows == found.lost_records == 3999 - len(seen)


@pytest.mark.parametrize(
    "times",
    [[2**63], np.array([2**63], np.uint64), np.array(["NaT"], "datetime64[ns]")],
    ids=["too late", "too late, unsigned", "no time"],
)
def test_times_that_are_none_are_refused(tmp_path, scalar_spec, times):
    with create(tmp_path, scalar_spec) as writer:
        with pytest.raises(StreamError):
            writer.write_rows(times, {"x": [1]})
        assert writer.statistics().records == 0


def test_moments_beyond_all_times_are_the_ends_of_time(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec) as writer:
        writer.append(5, 5)
        reader = StreamReader.open(writer.path)
        assert reader.find(-(2**80)) == 0
        assert reader.find(2**80) == 1
        assert [value(r) for r in reader.window(since=-(2**80), until=2**80)] == [5]
        assert [value(r) for r in reader.window(1e12)] == [5]
