"""One stream for one WebSocket: what it is first, then its records, and what was missed."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ringdaq.errors import BadRequestError, RingdaqError
from ringdaq.gateway.records import RecordQueue, Waiting
from ringdaq.gateway.ring_files import Ring
from ringdaq.gateway.rings import RingHub

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

MAX_RATE_HZ = 1e6
MAX_QUEUE_BYTES = 16 << 20
"""What may wait for a slow browser; more is dropped, the oldest first, and told."""


class StreamSession:
    """Sends a stream until it ends with its run, or the other side hangs up."""

    def __init__(self, connection: ServerConnection, hub: RingHub, stream: str) -> None:
        self._connection = connection
        self._hub = hub
        self._queue = RecordQueue(stream, capacity_bytes=MAX_QUEUE_BYTES)
        self._announced = ""
        self._max_rate_hz: float | None = None
        self._limit_set = asyncio.Event()
        self._last_due = -math.inf
        """When the record sent last could go."""
        self._sending = asyncio.Lock()
        """Held for messages that belong together."""

    async def run(self) -> None:
        """Tell the stream's form, then send and answer; raises for a stream that is not there."""
        async with self._hub.subscribed(self._queue):
            ring = await self._hub.newest(self._queue.stream)
            if ring is not None:
                await self._announce(ring)
            sending = asyncio.create_task(self._send_records())
            answering = asyncio.create_task(self._answer_all())
            try:
                await asyncio.wait([sending, answering], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, answering):
                    task.cancel()
                ends = await asyncio.gather(sending, answering, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # --- what goes out

    async def _send_records(self) -> None:
        while await self._queue.wait():
            await self._until_due()
            if (item := self._queue.pop()) is not None:
                await self._send(item)

    async def _until_due(self) -> None:
        """Sleep until the limit lets the next record go, or another one does that was set since."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (due := self._due()) > loop.time():
            self._limit_set.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._limit_set.wait()
        self._last_due = max(due, began)

    def _due(self) -> float:
        return -math.inf if self._max_rate_hz is None else self._last_due + 1 / self._max_rate_hz

    async def _send(self, item: Waiting) -> None:
        record = item.record
        async with self._sending:
            await self._announce(item.ring)
            if item.lost_records:
                await self._tell("lost", records=item.lost_records, rows=item.lost_rows)
            await self._tell(
                "record",
                sequence=record.sequence,
                rows=record.rows,
                first_nanos=str(record.first_nanos),
                last_nanos=str(record.last_nanos),
                skipped_records=item.skipped_records,
                skipped_rows=item.skipped_rows,
            )
            await self._connection.send(bytes(record.payload))

    async def _announce(self, ring: Ring) -> None:
        """Tell what the stream is, once a generation, with the schema that its records need."""
        if ring.generation == self._announced:
            return
        self._announced = ring.generation
        await self._tell("stream", generation=ring.generation, spec=ring.spec.to_dict())
        await self._connection.send(ring.schema_ipc)

    async def _tell(self, kind: str, **facts: Any) -> None:
        await self._connection.send(json.dumps({"type": kind, **facts}))

    # --- what comes in

    async def _answer_all(self) -> None:
        async for message in self._connection:
            try:
                answer = self._answer(_parsed(message))
            except RingdaqError as error:
                answer = {"kind": "error", "message": str(error)}
            async with self._sending:
                await self._tell(**answer)

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked.get("type"):
            case "ping":
                return {"kind": "pong"}
            case "limit":
                self.limit(checked_rate(asked.get("max_rate_hz")))
                return {"kind": "limit", "max_rate_hz": self._max_rate_hz}
            case other:
                raise BadRequestError(f"a message's type is 'limit' or 'ping'; found {other!r:.80}")

    def limit(self, max_rate_hz: float | None) -> None:
        """At most so many records a second from now on, the newest; `None` is all."""
        self._max_rate_hz = max_rate_hz
        self._queue.keep_newest(max_rate_hz is not None)
        self._limit_set.set()


def checked_rate(value: Any) -> float | None:
    """A limit in records a second; raises `BadRequestError` for what is none."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= MAX_RATE_HZ:
        raise BadRequestError(
            f"max_rate_hz is a number of records a second above 0 and up to {MAX_RATE_HZ:g}, or "
            f"null for all; found {value!r:.80}"
        )
    return float(value)


def _parsed(message: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequestError(
            'a message is a JSON object in text, such as {"type": "limit", "max_rate_hz": 20}'
        )
    return found
