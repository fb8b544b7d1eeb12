"""Single values for one subscriber: filter first, then rate limit, then bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from ringdaq.errors import BadRequestError, RingdaqError
from ringdaq.gateway.batch import Column, RingBatch
from ringdaq.gateway.rings import unknown_stream
from ringdaq.gateway.wakeup import Wakeup
from ringdaq.model import Channel, StreamSpec
from ringdaq.v1 import control_pb2

NANOS_PER_SEC = 1_000_000_000
MAX_POINTS = 16_384
MAX_RATE_HZ = 1e6
# Streams of runs come and go, so a run's stream may be asked for before it has its first row.
RUN_PREFIX = "run."


class ChannelFilter:
    """Which channels a subscriber wants: `stream.channel`, `stream`, or nothing for all."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def wants(self, spec: StreamSpec) -> bool:
        """Whether any channel of the stream is wanted."""
        return bool(self.channels(spec))

    def channels(self, spec: StreamSpec) -> list[Channel]:
        """The stream's wanted channels of single values."""
        if not self._names:
            return [c for c in spec.channels if not c.shape] if spec.kind == "rows" else []
        return [c for c in spec.channels if not c.shape and self._names_it(spec.name, c.name)]

    def _names_it(self, stream: str, channel: str) -> bool:
        return stream in self._names or f"{stream}.{channel}" in self._names

    def check(self, specs: Iterable[StreamSpec]) -> None:
        """Raise `UnknownStreamError` or `BadRequestError` for a name that will never send."""
        known = list(specs)
        for name in sorted(self._names):
            if not name.startswith(RUN_PREFIX):
                _check_name(name, known)


def _check_name(name: str, specs: list[StreamSpec]) -> None:
    for spec in specs:
        found = [c for c in spec.channels if name in (spec.name, f"{spec.name}.{c.name}")]
        if any(not c.shape for c in found):
            return
        if found:
            raise BadRequestError(
                f"{name!r} has images, not single values; use StreamBatches for the stream"
            )
    raise unknown_stream(name, specs)


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

    def put(self, column: Column) -> None:
        """Add new points."""
        if not len(column):
            return
        if self._limit is not None:
            chosen = self._limit.choose(column.times)
            self.skipped += int(len(chosen) - np.count_nonzero(chosen))
            column = column.where(chosen)
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


class MeasurementSubscription:
    """One client's wish, and what waits for it."""

    def __init__(self, wanted: ChannelFilter, *, max_rate_hz: float = 0.0) -> None:
        if not 0 <= max_rate_hz <= MAX_RATE_HZ:
            raise BadRequestError(
                f"max_rate_hz must be from 0 (no limit) to {MAX_RATE_HZ:g}; found {max_rate_hz}"
            )
        self._wanted = wanted
        self._max_rate_hz = max_rate_hz
        self._lock = threading.Lock()
        self._queues: dict[str, PointQueue] = {}
        self._failure: RingdaqError | None = None
        self._wakeup = Wakeup()

    def wants(self, spec: StreamSpec) -> bool:
        """Whether any channel of the stream is wanted."""
        return self._wanted.wants(spec)

    def _queue(self, stream: str, channel: Channel) -> PointQueue:
        name = f"{stream}.{channel.name}"
        queue = self._queues.get(name)
        if queue is None:
            limit = RateLimit(self._max_rate_hz) if self._max_rate_hz else None
            queue = self._queues[name] = PointQueue(channel.unit, limit)
        return queue

    def offer(self, batch: RingBatch) -> None:
        """Queue the wanted channels of new records."""
        columns = batch.columns
        with self._lock:
            for channel in self._wanted.channels(batch.spec):
                self._queue(batch.spec.name, channel).put(columns[channel.name])
        self._wakeup.set()

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count rows that were overwritten before they could be read."""
        del records
        with self._lock:
            for channel in self._wanted.channels(spec):
                self._queue(spec.name, channel).dropped += rows
        self._wakeup.set()

    def fail(self, error: RingdaqError) -> None:
        """End the subscription with an error."""
        self._failure = error
        self._wakeup.set()

    async def take(self) -> list[control_pb2.ChannelPoints]:
        """Wait until there is something to tell; raises what a stream failed with."""
        while True:
            await self._wakeup.wait()
            if self._failure is not None:
                raise self._failure
            if messages := self._taken():
                return messages

    def _taken(self) -> list[control_pb2.ChannelPoints]:
        with self._lock:
            messages = [queue.take(name) for name, queue in self._queues.items()]
        return [message for message in messages if message is not None]
