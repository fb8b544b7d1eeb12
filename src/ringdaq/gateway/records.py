"""Whole records of one stream for one subscriber, in a queue bounded by bytes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from ringdaq.gateway.batch import RingBatch
from ringdaq.gateway.outlet import Outlet
from ringdaq.gateway.ring_files import Ring
from ringdaq.gateway.wishes import StreamWish
from ringdaq.model import StreamSpec
from ringdaq.streams import Record


@dataclass(slots=True)
class Waiting:
    """A record in the queue, and what was lost or left out before it."""

    record: Record
    ring: Ring
    lost_records: int
    lost_rows: int
    skipped_records: int = 0
    skipped_rows: int = 0


class RecordQueue(Outlet):
    """One client's wish for a stream's records; full, it drops the oldest and counts them.

    It may be told to keep the newest alone: then the others are skipped, not lost.
    """

    def __init__(self, stream: str, *, capacity_bytes: int) -> None:
        super().__init__()
        self.stream = stream
        self.wish = StreamWish(stream)
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._bytes = 0
        self._newest_alone = False
        self._lost_records = 0
        self._lost_rows = 0

    def offer(self, batch: RingBatch) -> None:
        """Queue new records."""
        with self._lock:
            for record in batch.records:
                self._put(batch, record)
        self._wakeup.set()

    def _put(self, batch: RingBatch, record: Record) -> None:
        waiting = Waiting(record, batch.ring, self._lost_records, self._lost_rows)
        self._lost_records = self._lost_rows = 0
        self._queue.append(waiting)
        self._bytes += len(record.payload)
        self._trim()

    def keep_newest(self, newest_alone: bool) -> None:
        """Keep the newest record alone from now on, or all that there is room for."""
        with self._lock:
            self._newest_alone = newest_alone
            self._trim()

    def _trim(self) -> None:
        while len(self._queue) > 1 and (self._newest_alone or self._bytes > self._capacity_bytes):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._take_oldest()
        following = self._queue[0]
        following.lost_records += oldest.lost_records
        following.lost_rows += oldest.lost_rows
        following.skipped_records += oldest.skipped_records
        following.skipped_rows += oldest.skipped_rows
        if self._newest_alone:
            following.skipped_records += 1
            following.skipped_rows += oldest.record.rows
        else:
            following.lost_records += 1
            following.lost_rows += oldest.record.rows

    def _take_oldest(self) -> Waiting:
        oldest = self._queue.popleft()
        self._bytes -= len(oldest.record.payload)
        return oldest

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count records that were overwritten before they could be read."""
        del spec
        with self._lock:
            self._lost_records += records
            self._lost_rows += rows

    def gone(self, stream: str) -> None:
        """Nothing is kept for a stream beside its records."""

    async def records(self) -> list[Waiting]:
        """Wait for records, and take out all that are there; none at the end.

        Raises what made the stream fail.
        """
        return await self._take(self._drain)

    async def wait(self) -> bool:
        """Wait for a record; `False` if none will come. Raises what made the stream fail."""
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return bool(self._queue)
            await self._wakeup.wait()
        return True

    def pop(self) -> Waiting | None:
        """Take out the oldest record, if there is one."""
        with self._lock:
            return self._take_oldest() if self._queue else None

    def _drain(self) -> list[Waiting]:
        with self._lock:
            waiting = list(self._queue)
            self._queue.clear()
            self._bytes = 0
        return waiting
