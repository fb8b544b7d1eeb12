"""The queue of whole records: bounded by bytes, what is lost is counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ringdaq.gateway.batches import BatchSubscription
from ringdaq.gateway.ring_files import Place, Ring
from ringdaq.model import Channel, StreamSpec

SPEC = StreamSpec("eeg", "rows", (Channel("a", "float64"),))
RING = Ring(Place(Path("eeg.00000001.ring"), 0, "g1"), SPEC, b"schema")


@dataclass
class FakeRecord:
    sequence: int
    payload: bytes
    rows: int = 2
    first_nanos: int = 0
    last_nanos: int = 0


@dataclass
class FakeBatch:
    records: list[FakeRecord]
    ring: Ring = RING
    spec: StreamSpec = SPEC


def taken(
    offers: list[list[FakeRecord]], capacity: int, lost: tuple[int, int] = (0, 0)
) -> list[tuple[int, int, int]]:
    async def run() -> list[tuple[int, int, int]]:
        subscription = BatchSubscription("eeg", capacity_bytes=capacity)
        subscription.lose(SPEC, *lost)
        for records in offers:
            subscription.offer(FakeBatch(records))  # type: ignore[arg-type]
        messages = [m for m in await subscription.take() if m.HasField("batch")]
        return [(m.batch.sequence, m.batch.lost_records, m.batch.lost_rows) for m in messages]

    return asyncio.run(run())


def test_all_records_fit() -> None:
    assert taken([[FakeRecord(0, b"xx"), FakeRecord(1, b"xx")]], 4) == [(0, 0, 0), (1, 0, 0)]


def test_the_oldest_go_first_and_are_counted() -> None:
    records = [FakeRecord(i, b"xx") for i in range(5)]
    assert taken([records[:3], records[3:]], 4) == [(3, 3, 6), (4, 0, 0)]


def test_what_the_ring_lost_is_counted_too() -> None:
    records = [FakeRecord(i, b"xx") for i in range(9, 12)]
    assert taken([records], 4, lost=(9, 20)) == [(10, 10, 22), (11, 0, 0)]


def test_one_record_larger_than_the_queue_still_goes() -> None:
    assert taken([[FakeRecord(0, b"x" * 10), FakeRecord(1, b"x" * 10)]], 4) == [(1, 1, 2)]
