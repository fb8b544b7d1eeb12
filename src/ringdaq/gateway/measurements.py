"""Single values for one subscriber: filter first, then rate limit, then bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

from ringdaq.errors import BadRequestError
from ringdaq.gateway.batch import Column, RingBatch
from ringdaq.gateway.outlet import Outlet
from ringdaq.gateway.wishes import ChannelFilter
from ringdaq.model import Channel, StreamSpec
from ringdaq.v1 import control_pb2

NANOS_PER_SEC = 1_000_000_000
MAX_POINTS = 16_384
MAX_RATE_HZ = 1e6


class RateLimit:
    """At most one point of a channel in each slice of its own time."""

    def __init__(self, max_rate_hz: float) -> None:
        self._slice_nanos = NANOS_PER_SEC / max_rate_hz
        self._origin: int | None = None
        self._last = -1

    def choose(self, times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Which of these points may pass."""
        if self._origin is None:
            self._origin = int(times[0])
        slices = np.floor_divide(times - self._origin, self._slice_nanos).astype(np.int64)
        before = np.concatenate(([self._last], np.maximum.accumulate(slices)[:-1]))
        chosen: np.ndarray[Any, Any] = slices > np.maximum(before, self._last)
        self._last = max(self._last, int(slices.max()))
        return chosen


class PointQueue:
    """Points of one channel that wait to be sent; full, it drops the oldest and counts them."""

    def __init__(self, unit: str, limit: RateLimit | None, capacity: int = MAX_POINTS) -> None:
        self._unit = unit
        self._limit = limit
        self._capacity = capacity
        self._columns: deque[Column] = deque()
        self._points = 0
        self.dropped = 0
        self.skipped = 0

    @property
    def columns(self) -> int:
        """How many pieces wait."""
        return len(self._columns)

    def put(self, column: Column) -> None:
        """Add new points."""
        if self._limit is not None and len(column):
            chosen = self._limit.choose(column.times)
            self.skipped += int(len(chosen) - np.count_nonzero(chosen))
            column = column.where(chosen)
        if not len(column):
            return
        self._columns.append(column)
        self._points += len(column)
        while self._points > self._capacity:
            self._drop(self._points - self._capacity)

    def _drop(self, excess: int) -> None:
        oldest = self._columns.popleft()
        count = min(excess, len(oldest))
        if count < len(oldest):
            self._columns.appendleft(oldest.where(slice(count, None)))
        self._points -= count
        self.dropped += count

    def take(self, channel: str) -> control_pb2.ChannelPoints | None:
        """Everything that waits as a message, or `None` when there is nothing to tell."""
        if not (self._points or self.dropped or self.skipped):
            return None
        message = control_pb2.ChannelPoints(
            channel=channel, unit=self._unit, dropped=self.dropped, skipped=self.skipped
        )
        for column in self._columns:
            message.time_nanos.extend(column.times.tolist())
            target = message.texts if column.values.dtype == object else message.values
            target.extend(column.values.tolist())
        self._columns.clear()
        self._points = self.dropped = self.skipped = 0
        return message


class MeasurementSubscription(Outlet):
    """One client's wish, and what waits for it."""

    def __init__(self, wanted: ChannelFilter, *, max_rate_hz: float = 0.0) -> None:
        if not 0 <= max_rate_hz <= MAX_RATE_HZ:
            raise BadRequestError(
                f"max_rate_hz must be from 0 (no limit) to {MAX_RATE_HZ:g}; found {max_rate_hz}"
            )
        super().__init__()
        self.wish = wanted
        self._max_rate_hz = max_rate_hz
        self._lock = threading.Lock()
        self._queues: dict[str, dict[str, PointQueue]] = {}
        self._gone: set[str] = set()

    def _queue(self, stream: str, channel: Channel) -> PointQueue:
        queues = self._queues.setdefault(stream, {})
        queue = queues.get(channel.name)
        if queue is None:
            limit = RateLimit(self._max_rate_hz) if self._max_rate_hz else None
            queue = queues[channel.name] = PointQueue(channel.unit, limit)
        return queue

    def offer(self, batch: RingBatch) -> None:
        """Queue the wanted channels of new records."""
        columns = batch.columns
        with self._lock:
            for channel in self.wish.channels(batch.spec):
                self._queue(batch.spec.name, channel).put(columns[channel.name])
        self._wakeup.set()

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count rows that were overwritten before they could be read."""
        del records
        with self._lock:
            for channel in self.wish.channels(spec):
                self._queue(spec.name, channel).dropped += rows
        self._wakeup.set()

    def gone(self, stream: str) -> None:
        """Keep nothing for a stream any more, once what waits of it is taken."""
        with self._lock:
            if stream not in self._queues:
                return
            self._gone.add(stream)
        self._wakeup.set()

    async def take(self) -> list[control_pb2.ChannelPoints]:
        """Wait until there is something to tell; nothing at the end.

        Raises what a stream failed with.
        """
        return await self._take(self._taken)

    def _taken(self) -> list[control_pb2.ChannelPoints]:
        with self._lock:
            messages = [
                queue.take(f"{stream}.{channel}")
                for stream, queues in self._queues.items()
                for channel, queue in queues.items()
            ]
            for stream in self._gone:
                self._queues.pop(stream, None)
            self._gone.clear()
        return [message for message in messages if message is not None]
