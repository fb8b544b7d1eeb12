"""Following in a loop and in a coroutine: what comes, what is lost, and what waiting costs."""

import asyncio
import itertools
import sys
import threading

import pytest
import ringdaq_core as core

from ringdaq.errors import OverrunError, StreamError, WriterGoneError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter, attach
from ringdaq.streams import waiting as waiting_module

DEADLINE_SECS = 30


def create(directory, spec, capacity_bytes=4096):
    return StreamWriter.create(directory, spec, capacity_bytes=capacity_bytes)


def value(record):
    return int(record.columns()["x"][0])


@pytest.fixture
def notes(tmp_path):
    """A writer of texts, so that records are as long as a test wants them."""
    spec = StreamSpec("notes", "rows", (Channel("note", "string"),))
    return create(tmp_path, spec, capacity_bytes=1 << 20)


async def collect(following):
    return [value(record) async for record in following]


def run(coroutine):
    async def bounded():
        async with asyncio.timeout(DEADLINE_SECS):
            return await coroutine

    return asyncio.run(bounded())


@pytest.fixture(params=["one thread for all", "a thread each"])
def way(request, monkeypatch):
    """Both ways to wait."""

    def none(reader):
        raise OSError("the kernel cannot wait for several rings at once")

    if request.param == "a thread each":
        monkeypatch.setattr(waiting_module.core, "Watch", none)


def test_a_record_after_a_rush_still_wakes_its_reader(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec, 1 << 22)
    seen = []
    arrived = threading.Condition()

    def read():
        for record in StreamReader.open(writer.path).follow(0, timeout=DEADLINE_SECS):
            with arrived:
                seen.append(value(record))
                arrived.notify()

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    written = itertools.count()
    for rush in (3000, 1, 1, 3000, 1):
        for number in itertools.islice(written, rush):
            writer.append(number, number)
        with arrived:
            assert arrived.wait_for(lambda newest=number: newest in seen[-1:], DEADLINE_SECS)
    writer.close()
    reading.join(DEADLINE_SECS)
    assert seen == list(range(next(written)))


def test_a_coroutine_gets_every_record_to_the_end(tmp_path, scalar_spec, way):
    writer = create(tmp_path, scalar_spec, 1 << 20)
    reader = StreamReader.open(writer.path)

    async def write():
        for number in range(300):
            writer.append(number, number)
            if number % 10 == 0:
                await asyncio.sleep(0.001)
        writer.close()

    async def both():
        follower = asyncio.create_task(collect(reader.follow("oldest")))
        await write()
        return await follower

    assert run(both()) == list(range(300))


def test_a_coroutine_sleeps_until_another_thread_writes(tmp_path, scalar_spec, way):
    writer = create(tmp_path, scalar_spec)
    reader = StreamReader.open(writer.path)
    seen = threading.Event()

    def write():
        for number in range(5):
            writer.append(number, number)
            assert seen.wait(DEADLINE_SECS)
            seen.clear()
        writer.close()

    async def follow():
        found = []
        asyncio.get_running_loop().call_later(0.01, threading.Thread(target=write).start)
        async for record in reader.follow():
            found.append(value(record))
            seen.set()
        return found

    assert run(follow()) == [0, 1, 2, 3, 4]


def test_many_coroutines_follow_many_rings_with_one_thread(tmp_path, scalar_spec):
    writers = [create(tmp_path / str(n), scalar_spec) for n in range(20)]
    readers = [StreamReader.open(writer.path) for writer in writers for _ in range(10)]
    before = set(threading.enumerate())

    async def work():
        tasks = [asyncio.create_task(collect(reader.follow("oldest"))) for reader in readers]
        await asyncio.sleep(0)
        for number in range(3):
            for writer in writers:
                writer.append(number, number)
            await asyncio.sleep(0.01)
        assert set(threading.enumerate()) <= before
        for writer in writers:
            writer.close()
        return await asyncio.gather(*tasks)

    assert run(work()) == [[0, 1, 2]] * len(readers)


def test_more_rings_than_one_call_can_wait_for(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec)
    readers = [StreamReader.open(writer.path) for _ in range(300)]

    async def work():
        tasks = [asyncio.create_task(anext(reader.follow())) for reader in readers]
        await asyncio.sleep(0.05)
        writer.append(7, 7)
        return [value(record) for record in await asyncio.gather(*tasks)]

    assert run(work()) == [7] * 300
    writer.close()


def test_a_follower_that_was_cancelled_goes_on_where_it_was(tmp_path, scalar_spec, way):
    writer = create(tmp_path, scalar_spec)
    following = StreamReader.open(writer.path).follow()

    async def work():
        for number in range(20):
            task = asyncio.create_task(anext(following))
            await asyncio.sleep(0.001 * (number % 3))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        writer.append(1, 1)
        writer.append(2, 2)
        return [value(await anext(following)) for _ in range(2)]

    assert run(work()) == [1, 2]
    writer.close()


def test_a_timeout_ends_a_coroutine(tmp_path, scalar_spec, way):
    writer = create(tmp_path, scalar_spec)
    writer.append(1, 1)
    assert run(collect(StreamReader.open(writer.path).follow("oldest", timeout=0.05))) == [1]
    writer.close()


def test_two_tasks_cannot_wait_with_one_follower(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec)
    following = StreamReader.open(writer.path).follow()

    async def work():
        first = asyncio.create_task(anext(following))
        await asyncio.sleep(0)
        with pytest.raises(StreamError, match="one task at a time"):
            await anext(following)
        writer.append(3, 3)
        return value(await first)

    assert run(work()) == 3
    writer.close()


def test_a_quick_writer_does_not_keep_other_tasks_from_running(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec, 1 << 20)
    following = StreamReader.open(writer.path).follow()

    async def work():
        others = asyncio.create_task(asyncio.sleep(0.02))
        number = 0
        while not others.done():
            writer.append(number, number)
            await anext(following)
            number += 1

    run(work())
    writer.close()


def test_a_row_that_is_refused_wakes_nobody_for_good(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec)
    following = StreamReader.open(writer.path).follow("oldest", timeout=DEADLINE_SECS)
    found = []
    reading = threading.Thread(target=lambda: found.append(value(next(following))))
    reading.start()
    for _ in range(1000):
        with pytest.raises(StreamError):
            writer.append(1, "one")
    writer.append(1, 1)
    reading.join()
    assert found == [1]


ONLY_HERE = 2
"""References to an object that a test holds, as `sys.getrefcount` counts them."""


def test_a_follower_lets_go_of_what_it_gave(notes):
    for number in range(3):
        notes.append(number, "short")
    following = StreamReader.open(notes.path).follow("oldest")
    payload = next(following).payload
    next(following)
    next(following)
    assert sys.getrefcount(payload) == ONLY_HERE


def test_a_follower_keeps_no_long_record(notes):
    notes.append(1, "a" * 100_000)
    payload = next(StreamReader.open(notes.path).follow("oldest")).payload
    assert sys.getrefcount(payload) == ONLY_HERE


def test_records_of_changing_length_are_whole(notes):
    lengths = [5, 5, 300, 0, 5, 90_000, 5, 90_000, 70, 70]
    texts = [str(number) * length for number, length in enumerate(lengths)]
    following = StreamReader.open(notes.path).follow("oldest")
    for number, text in enumerate(texts):
        notes.append(number, text)
    notes.close()
    assert [record.columns()["note"][0] for record in following] == texts


def test_a_coroutine_learns_of_a_dead_writer(tmp_path, scalar_spec, way):
    writer = create(tmp_path, scalar_spec)
    path, core_writer = writer.path, writer._core
    writer.append(1, 1)
    following = StreamReader.open(path).follow("oldest")

    async def work():
        assert value(await anext(following)) == 1
        waiting = asyncio.create_task(anext(following))
        await asyncio.sleep(0)
        return await waiting

    def die():
        nonlocal writer, core_writer
        del writer, core_writer

    timer = threading.Timer(0.05, die)
    timer.start()
    with pytest.raises(WriterGoneError):
        run(work())
    timer.join()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_following_goes_on_into_later_generations(tmp_path, scalar_spec, asynchronous):
    writers = [create(tmp_path, scalar_spec)]
    following = attach("scalar", directory=tmp_path).follow("oldest")
    for numbers in (range(3), range(3, 5), range(5, 7)):
        for number in numbers:
            writers[-1].append(number, number)
        writers.append(create(tmp_path, scalar_spec))
        writers[-2].close()
    writers[-1].close()
    found = run(collect(following)) if asynchronous else [value(record) for record in following]
    assert found == list(range(7))
    assert following.reader.path == writers[-1].path


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_lapped_follower_is_told_and_goes_on(tmp_path, scalar_spec, asynchronous):
    writer = create(tmp_path, scalar_spec)
    following = StreamReader.open(writer.path).follow()
    for number in range(100):
        writer.append(number, number)
    writer.close()
    with pytest.raises(OverrunError) as caught:
        run(collect(following)) if asynchronous else list(following)
    lost = caught.value.lost_records
    assert lost == StreamReader.open(writer.path).statistics().oldest_sequence
    rest = run(collect(following)) if asynchronous else [value(r) for r in following]
    assert rest == list(range(lost, 100))
    found = following.statistics()
    assert (found.overruns, found.lost_records, found.lost_rows) == (1, lost, lost)
    assert (found.records, found.rows) == (100 - lost, 100 - lost)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_losses_can_be_skipped_and_are_counted(tmp_path, scalar_spec, asynchronous):
    writer = create(tmp_path, scalar_spec)
    following = StreamReader.open(writer.path).follow(skip_lost=True)
    for number in range(100):
        writer.append(number, number)
    writer.close()
    found = run(collect(following)) if asynchronous else [value(r) for r in following]
    lost = following.statistics().lost_records
    assert found == list(range(lost, 100))
    assert lost > 0


def test_a_follower_knows_how_far_it_is_behind(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec, 1 << 16)
    following = StreamReader.open(writer.path).follow("oldest", timeout=0.01)
    assert following.statistics().lag_records == 0
    for number in range(5):
        writer.append(number * 1_000_000_000, number)
    assert (following.statistics().lag_records, following.statistics().lag_secs) == (5, 4.0)
    next(following)
    next(following)
    found = following.statistics()
    assert (found.records, found.lag_records, found.lag_secs) == (2, 3, 3.0)
    list(following)
    found = following.statistics()
    assert (found.records, found.lag_records, found.lag_secs) == (5, 0, 0.0)
    writer.close()


def test_a_loop_that_was_left_goes_on(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec, 1 << 16) as writer:
        for number in range(5):
            writer.append(number, number)
    following = StreamReader.open(writer.path).follow("oldest")
    for record in following:
        if value(record) == 2:
            break
    assert [value(record) for record in following] == [3, 4]


def test_a_watch_is_told_once_and_forgets(tmp_path, scalar_spec):
    writer = create(tmp_path, scalar_spec)
    watch = core.Watch(core.RingReader.open(writer.path))
    assert watch.arm(0) is False
    writer.append(1, 1)
    assert watch.arm(0) is True
    assert watch.arm(1) is False
    watch.disarm()
    writer.close()
    assert watch.arm(1) is True
