"""Queries of history that take long: they hold up nobody else, and end when nobody waits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringdaq.errors import BusyError
from ringdaq.gateway.history import HistoryDesk, Segment
from ringdaq.gateway.history_turns import MAX_QUERIES, HistoryTurns
from ringdaq.gateway.records import RecordQueue
from ringdaq.gateway.rings import RingHub
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

DEADLINE_SECS = 30.0
METER = StreamSpec("meter", "rows", (Channel("power", "float64"),))


class SlowDesk:
    """Answers nothing until its clients have given up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = threading.Event()
        self.ended = threading.Semaphore(0)

    def query(self, stream: str, *_: Any, given_up: Callable[[], bool], **__: Any) -> None:
        self.asked.append(stream)
        self.begun.set()
        deadline = threading.Event()
        while not given_up():
            deadline.wait(0.01)
        self.ended.release()


class NoRuns:
    """No run is asked about."""

    async def known(self, run_id: str) -> bool:
        raise AssertionError(run_id)

    async def over(self, run_id: str) -> None:
        raise AssertionError(run_id)


def ask(turns: HistoryTurns, stream: str) -> asyncio.Task[Any]:
    return asyncio.create_task(turns.query(stream, None, None, max_points=None, channels=()))


def test_slow_queries_hold_up_no_subscription_and_only_so_many_wait(ring_directory: Path) -> None:
    async def main() -> None:
        desk, hub = SlowDesk(), RingHub(ring_directory, NoRuns())
        turns = HistoryTurns(desk)  # type: ignore[arg-type]
        queries = [ask(turns, f"s{n}") for n in range(MAX_QUERIES)]
        await asyncio.to_thread(desk.begun.wait, DEADLINE_SECS)
        with pytest.raises(BusyError, match="wait already"):
            await ask(turns, "one too many")
        subscription = RecordQueue("meter", capacity_bytes=1 << 20)
        with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 16) as meter:
            async with asyncio.timeout(DEADLINE_SECS), hub.subscribed(subscription):
                meter.append(1, 1.0)
                assert len(await subscription.records()) == 1
        for query in queries:
            query.cancel()
        await asyncio.gather(*queries, return_exceptions=True)
        assert await asyncio.to_thread(desk.ended.acquire, timeout=DEADLINE_SECS)
        later = ask(turns, "later")
        async with asyncio.timeout(DEADLINE_SECS):
            while len(desk.asked) < 2:
                await asyncio.sleep(0.01)
        assert desk.asked == ["s0", "later"]
        later.cancel()
        await asyncio.gather(later, return_exceptions=True)

    asyncio.run(main())


def test_a_query_that_was_given_up_reads_no_further_ring(
    ring_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Segment] = []
    really_read = Segment.read

    def noted(segment: Segment, *wanted: Any) -> None:
        read.append(segment)
        really_read(segment, *wanted)

    monkeypatch.setattr(Segment, "read", noted)
    for generation in range(3):
        with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 16) as writer:
            writer.append(generation, 1.0)
    desk = HistoryDesk(ring_directory, lambda: None)
    with pytest.raises(concurrent.futures.CancelledError):
        desk.query("meter", given_up=lambda: len(read) == 1)
    assert len(read) == 1
    assert desk.query("meter").values("power").tolist() == [1.0, 1.0, 1.0]
    desk.close()
