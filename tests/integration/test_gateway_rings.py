"""What subscribers get of rings that come, end, come back, or cannot be read."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringdaq.errors import CorruptRecordError, StreamError, UnknownStreamError
from ringdaq.gateway.measurements import MeasurementSubscription
from ringdaq.gateway.records import RecordQueue, Waiting
from ringdaq.gateway.ring_files import RingFiles
from ringdaq.gateway.rings import RingHub
from ringdaq.gateway.wishes import ChannelFilter
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamReader, StreamWriter

DEADLINE_SECS = 30.0
SECOND = 1_000_000_000


def spec_of(name: str) -> StreamSpec:
    return StreamSpec(name, "rows", (Channel("power", "float64", unit="W"),))


class Runs:
    """Any run there is, until it is over."""

    def __init__(self) -> None:
        self.ends: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def known(self, run_id: str) -> bool:
        return run_id != "mistyped"

    async def over(self, run_id: str) -> None:
        await self.ends[run_id].wait()


class Rig:
    """A directory with rings, and a hub that reads them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = Runs()
        self.hub = RingHub(directory, self.runs)
        self._signs = 0

    def create(self, name: str, *, capacity_bytes: int = 1 << 16) -> StreamWriter:
        return StreamWriter.create(self.directory, spec_of(name), capacity_bytes=capacity_bytes)

    def remove(self, writer: StreamWriter) -> None:
        """What the daemon does with a ring that was closed long ago."""
        writer.close()
        RingDirectory(self.directory).remove(writer.path)

    async def a_look(self) -> None:
        """Wait until the hub has looked at the rings once more."""
        self._signs += 1
        name = f"run.sign{self._signs}"
        sign = queue(name)
        async with self.hub.subscribed(sign):
            with self.create(name) as writer:
                writer.append(1, 1.0)
                await received(sign, 1)


@pytest.fixture
def rig(ring_directory: Path) -> Rig:
    return Rig(ring_directory)


def queue(stream: str) -> RecordQueue:
    return RecordQueue(stream, capacity_bytes=1 << 26)


async def received(subscription: RecordQueue, count: int) -> list[Waiting]:
    """The next so many records."""
    got: list[Waiting] = []
    async with asyncio.timeout(DEADLINE_SECS):
        while len(got) < count:
            got += await subscription.records()
    return got


def times(got: list[Waiting]) -> list[int]:
    return [item.record.first_nanos for item in got]


async def next_times(rig: Rig, subscription: RecordQueue, meter: StreamWriter) -> list[int]:
    """What somebody gets who subscribes before a row of the time 1000 is written."""
    async with rig.hub.subscribed(subscription):
        meter.append(1000, 1.0)
        return times(await received(subscription, 1))


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def backdate(writer: StreamWriter, secs: int) -> None:
    """Make a ring look as old as rings are when they are removed."""
    made = writer.path.stat().st_mtime_ns - secs * SECOND
    os.utime(writer.path, ns=(made, made))


@pytest.mark.parametrize("noticed", [False, True])
def test_a_stream_that_comes_back_under_the_same_path_is_followed(rig: Rig, noticed: bool) -> None:
    async def main() -> None:
        first, subscription, second = rig.create("meter"), queue("meter"), queue("meter")
        backdate(first, 300)
        async with rig.hub.subscribed(subscription):
            first.append(1, 1.0)
            assert times(await received(subscription, 1)) == [1]
            rig.remove(first)
            if noticed:
                await rig.a_look()
            with rig.create("meter") as again:
                assert again.path == first.path
                again.append(2, 2.0)
                assert times(await received(subscription, 1)) == [2]
                async with rig.hub.subscribed(second):
                    again.append(3, 3.0)
                    assert times(await received(second, 1)) == [3]
                assert times(await received(subscription, 1)) == [3]

    run(main)


def test_who_subscribes_during_a_look_at_the_rings_gets_nothing_old(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, go_on = threading.Event(), threading.Event()
    newest = RingFiles.newest

    def hold(files: RingFiles) -> dict[str, Path]:
        monkeypatch.setattr(RingFiles, "newest", newest)
        found = newest(files)
        looking.set()
        assert go_on.wait(DEADLINE_SECS)
        return found

    async def main() -> None:
        before, after = queue("meter"), queue("meter")
        with rig.create("meter") as meter:
            for i in range(500):
                meter.append(i, 1.0)
            async with rig.hub.subscribed(before):
                monkeypatch.setattr(RingFiles, "newest", hold)
                await asyncio.to_thread(looking.wait, DEADLINE_SECS)
            async with asyncio.timeout(DEADLINE_SECS), asyncio.TaskGroup() as tasks:
                late = tasks.create_task(next_times(rig, after, meter))
                while not rig.hub.listeners(spec_of("meter")):
                    await asyncio.sleep(0.01)
                go_on.set()
                assert await late == [1000]

    run(main)


def test_who_subscribes_just_after_a_new_generation_began_gets_nothing_old(rig: Rig) -> None:
    async def main() -> None:
        other, subscription = queue("run.other"), queue("meter")
        first = rig.create("meter")
        async with rig.hub.subscribed(other):
            with rig.create("meter") as second:
                first.close()
                for i in range(10):
                    second.append(i, 1.0)
                async with rig.hub.subscribed(subscription):
                    second.append(100, 1.0)
                    assert times(await received(subscription, 1)) == [100]

    run(main)


def test_all_generations_of_a_stream_that_is_new_are_sent(rig: Rig) -> None:
    async def main() -> None:
        subscription = queue("run.r1")
        async with rig.hub.subscribed(subscription):
            await rig.a_look()
            for i in range(5):
                with rig.create("run.r1") as writer:
                    writer.append(i, 1.0)
            assert times(await received(subscription, 5)) == list(range(5))

    run(main)


def test_what_a_new_generation_overwrote_is_counted(rig: Rig) -> None:
    rows, records = 100, 500

    async def main() -> None:
        subscription = queue("meter")
        first = rig.create("meter")
        async with rig.hub.subscribed(subscription):
            with rig.create("meter") as second:
                for i in range(records):
                    moments = np.arange(i * rows, (i + 1) * rows)
                    second.write_rows(moments, {"power": moments.astype(float)})
                left = records - second.statistics().oldest_sequence
                first.close()
                got = await received(subscription, left)
        assert len(got) == left < records
        assert got[0].lost_records == records - left
        assert got[0].lost_rows == rows * (records - left)
        assert not any(item.lost_records for item in got[1:])

    run(main)


def test_no_generation_is_left_out_when_the_one_before_was_removed(rig: Rig) -> None:
    async def main() -> None:
        subscription = queue("meter")
        first = rig.create("meter")
        backdate(first, 300)
        async with rig.hub.subscribed(subscription):
            with rig.create("meter") as second, rig.create("meter") as third:
                backdate(second, 200)
                second.append(2, 1.0)
                second.close()
                third.append(3, 1.0)
                RingDirectory(rig.directory).remove(first.path)
                first.close()
                assert times(await received(subscription, 2)) == [2, 3]

    run(main)


def test_a_look_at_many_rings_lists_the_directory_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    names = RingDirectory._names

    def counted(directory: RingDirectory) -> list[str]:
        looks.append(directory.path)
        return names(directory)

    monkeypatch.setattr(RingDirectory, "_names", counted)
    for stream in ("a", "b.c", "d"):
        for number in range(1, 4):
            (rig.directory / f"{stream}.{number:08d}.ring").touch()
    found = RingFiles(rig.directory).newest()
    assert {stream: path.name for stream, path in found.items()} == {
        stream: f"{stream}.00000003.ring" for stream in ("a", "b.c", "d")
    }
    assert len(looks) == 1


def test_a_ring_that_cannot_be_read_stands_in_nobodys_way(rig: Rig) -> None:
    (rig.directory / "old.00000001.ring").write_bytes(bytes(4096))

    async def main() -> None:
        one = queue("meter")
        everything = MeasurementSubscription(ChannelFilter([]))
        named = MeasurementSubscription(ChannelFilter(["meter.power"]))
        with rig.create("meter") as meter:
            async with (
                rig.hub.subscribed(one),
                rig.hub.subscribed(everything),
                rig.hub.subscribed(named),
                asyncio.timeout(DEADLINE_SECS),
            ):
                meter.append(1, 1.0)
                assert times(await received(one, 1)) == [1]
                assert [p.channel for p in await everything.take()] == ["meter.power"]
                assert [p.channel for p in await named.take()] == ["meter.power"]
            for wanted in (queue("old"), MeasurementSubscription(ChannelFilter(["old.x"]))):
                with pytest.raises(CorruptRecordError):
                    await rig.hub.subscribed(wanted).__aenter__()

    run(main)


def test_who_wants_one_stream_has_no_other_ring_opened(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    really_open = StreamReader.open

    def noted(path: Path) -> StreamReader:
        opened.append(path.name)
        return really_open(path)

    monkeypatch.setattr(StreamReader, "open", noted)

    async def main() -> None:
        subscription = queue("meter")
        with rig.create("meter") as meter, rig.create("stage"), rig.create("run.r1.log"):
            async with rig.hub.subscribed(subscription):
                meter.append(1, 1.0)
                await received(subscription, 1)

    run(main)
    assert opened
    assert {name.partition(".")[0] for name in opened} == {"meter"}


def test_a_mistake_while_reading_ends_subscriptions_with_words(rig: Rig) -> None:
    class Mistaken(RecordQueue):
        def offer(self, batch: Any) -> None:
            raise ValueError("a mistake")

    async def main() -> None:
        subscription = Mistaken("meter", capacity_bytes=1)
        with rig.create("meter") as meter:
            async with rig.hub.subscribed(subscription):
                meter.append(1, 1.0)
                with pytest.raises(StreamError, match="internal error: ValueError"):
                    await received(subscription, 1)

    run(main)


def test_a_look_that_fails_is_followed_by_another_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()
    newest = RingFiles.newest

    def fail(files: RingFiles) -> dict[str, Path]:
        monkeypatch.setattr(RingFiles, "newest", newest)
        failed.set()
        raise ValueError("a mistake")

    async def main() -> None:
        subscription = queue("run.r1")
        async with rig.hub.subscribed(subscription):
            monkeypatch.setattr(RingFiles, "newest", fail)
            await asyncio.to_thread(failed.wait, DEADLINE_SECS)
            with rig.create("run.r1") as writer:
                writer.append(1, 1.0)
                assert times(await received(subscription, 1)) == [1]

    run(main)


def test_nothing_is_read_when_the_last_subscriber_has_left(rig: Rig) -> None:
    async def main() -> None:
        with rig.create("meter") as meter:
            subscription = queue("meter")
            async with rig.hub.subscribed(subscription):
                meter.append(1, 1.0)
                await received(subscription, 1)
            give_up = time.monotonic() + DEADLINE_SECS
            while "ring-meter" in {thread.name for thread in threading.enumerate()}:
                assert time.monotonic() < give_up, "the ring is still read"
                await asyncio.sleep(0.01)

    run(main)


def test_what_is_asked_of_a_run_ends_with_it_when_all_is_read(rig: Rig) -> None:
    async def main() -> None:
        rows, log = queue("run.r1"), queue("run.r1.log")
        both = MeasurementSubscription(ChannelFilter(["run.r1.power", "run.r2"]))
        async with (
            asyncio.timeout(DEADLINE_SECS),
            rig.hub.subscribed(rows),
            rig.hub.subscribed(log),
            rig.hub.subscribed(both),
        ):
            for generation in range(3):
                with rig.create("run.r1") as writer:
                    writer.append(generation, 1.0)
            rig.runs.ends["r1"].set()
            assert times(await received(rows, 3)) == [0, 1, 2]
            assert await rows.records() == []
            assert await log.records() == []
            with rig.create("run.r2") as other:
                other.append(3, 1.0)
            rig.runs.ends["r2"].set()
            seen: list[int] = []
            while points := await both.take():
                seen += [nanos for one in points for nanos in one.time_nanos]
            assert seen == [0, 1, 2, 3]

    run(main)


def test_what_is_asked_of_a_run_and_of_others_goes_on(rig: Rig) -> None:
    async def main() -> None:
        subscription = MeasurementSubscription(ChannelFilter(["run.r1", "meter"]))
        with rig.create("meter") as meter:
            async with asyncio.timeout(DEADLINE_SECS), rig.hub.subscribed(subscription):
                rig.runs.ends["r1"].set()
                await rig.a_look()
                meter.append(1, 1.0)
                assert [p.channel for p in await subscription.take()] == ["meter.power"]

    run(main)


@pytest.mark.parametrize("name", ["run.mistyped", "run.mistyped.log"])
def test_a_run_that_nobody_knows_is_refused(rig: Rig, name: str) -> None:
    async def main() -> None:
        for wanted in (queue(name), MeasurementSubscription(ChannelFilter([name]))):
            with pytest.raises(UnknownStreamError, match="no run 'mistyped'"):
                await rig.hub.subscribed(wanted).__aenter__()

    run(main)
