"""Whole records of one stream for one subscriber, in a queue bounded by bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ringdaq.errors import CorruptRecordError, RingdaqError
from ringdaq.gateway.batch import RingBatch
from ringdaq.gateway.measurements import RUN_PREFIX
from ringdaq.gateway.rings import unknown_stream
from ringdaq.gateway.wakeup import Wakeup
from ringdaq.model import StreamSpec
from ringdaq.streams import Record
from ringdaq.v1 import data_pb2
from ringdaq.wire import MAX_RESPONSE_BYTES

MAX_QUEUE_BYTES = 64 << 20
# What an envelope adds to a record.
ENVELOPE_BYTES = 1024


@dataclass(slots=True)
class _Waiting:
    record: Record
    generation: str
    schema_ipc: bytes
    lost_records: int
    lost_rows: int


class BatchSubscription:
    """One client's wish for a stream's records; full, it drops the oldest and counts them."""

    def __init__(self, stream: str, *, capacity_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._stream = stream
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._lost_records = 0
        self._lost_rows = 0
        self._announced = ""
        self._failure: RingdaqError | None = None
        self._wakeup = Wakeup()

    def wants(self, spec: StreamSpec) -> bool:
        """Whether it is this stream."""
        return spec.name == self._stream

    def check(self, specs: Iterable[StreamSpec]) -> None:
        """Raise `UnknownStreamError` for a stream that is not there and is no run's own."""
        known = list(specs)
        if not self._stream.startswith(RUN_PREFIX) and not any(map(self.wants, known)):
            raise unknown_stream(self._stream, known)

    def offer(self, batch: RingBatch) -> None:
        """Queue new records."""
        with self._lock:
            for record in batch.records:
                self._put(batch, record)
        self._wakeup.set()

    def _put(self, batch: RingBatch, record: Record) -> None:
        waiting = _Waiting(
            record, batch.generation, batch.schema_ipc, self._lost_records, self._lost_rows
        )
        self._lost_records = self._lost_rows = 0
        self._queue.append(waiting)
        self._bytes += len(record.payload)
        while self._bytes > self._capacity_bytes and len(self._queue) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = self._queue.popleft()
        self._bytes -= len(oldest.record.payload)
        self._queue[0].lost_records += oldest.lost_records + 1
        self._queue[0].lost_rows += oldest.lost_rows + oldest.record.rows

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count records that were overwritten before they could be read."""
        del spec
        with self._lock:
            self._lost_records += records
            self._lost_rows += rows

    def fail(self, error: RingdaqError) -> None:
        """End the subscription with an error."""
        self._failure = error
        self._wakeup.set()

    async def take(self) -> list[data_pb2.StreamBatchesResponse]:
        """Wait for records; returns them as messages, a schema before the first of a generation."""
        await self._wakeup.wait()
        if self._failure is not None:
            raise self._failure
        with self._lock:
            waiting = list(self._queue)
            self._queue.clear()
            self._bytes = 0
        return [message for item in waiting for message in self._messages(item)]

    def _messages(self, item: _Waiting) -> list[data_pb2.StreamBatchesResponse]:
        batch = data_pb2.StreamBatchesResponse(batch=_record_batch(item))
        if item.generation == self._announced:
            return [batch]
        self._announced = item.generation
        schema = data_pb2.RingSchema(
            stream=self._stream, generation=item.generation, arrow_schema=item.schema_ipc
        )
        return [data_pb2.StreamBatchesResponse(schema=schema), batch]


def _record_batch(item: _Waiting) -> data_pb2.RecordBatch:
    record = item.record
    payload = bytes(record.payload)
    if len(payload) > MAX_RESPONSE_BYTES - ENVELOPE_BYTES:
        raise CorruptRecordError(
            f"a record of {len(payload)} bytes is too long for the network, which carries "
            f"{MAX_RESPONSE_BYTES}; read it on the daemon's machine with ringdaq.attach"
        )
    return data_pb2.RecordBatch(
        sequence=record.sequence,
        rows=record.rows,
        first_nanos=record.first_nanos,
        last_nanos=record.last_nanos,
        arrow_batch=payload,
        lost_records=item.lost_records,
        lost_rows=item.lost_rows,
    )
