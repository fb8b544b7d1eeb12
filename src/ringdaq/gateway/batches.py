"""Whole records of one stream as messages of the contract."""

from __future__ import annotations

from ringdaq.errors import CorruptRecordError
from ringdaq.gateway.records import RecordQueue, Waiting
from ringdaq.v1 import data_pb2
from ringdaq.wire import MAX_RESPONSE_BYTES

MAX_QUEUE_BYTES = 64 << 20
# What an envelope adds to a record.
ENVELOPE_BYTES = 1024


class BatchSubscription(RecordQueue):
    """One gRPC client's wish for a stream's records."""

    def __init__(self, stream: str, *, capacity_bytes: int = MAX_QUEUE_BYTES) -> None:
        super().__init__(stream, capacity_bytes=capacity_bytes)
        self._announced = ""

    async def take(self) -> list[data_pb2.StreamBatchesResponse]:
        """Wait for records; returns them as messages, a schema before the first of a generation.

        At the end there are none.
        """
        return [message for item in await self.records() for message in self._messages(item)]

    def _messages(self, item: Waiting) -> list[data_pb2.StreamBatchesResponse]:
        batch = data_pb2.StreamBatchesResponse(batch=_record_batch(item))
        if item.ring.generation == self._announced:
            return [batch]
        self._announced = item.ring.generation
        schema = data_pb2.RingSchema(
            stream=self.stream, generation=item.ring.generation, arrow_schema=item.ring.schema_ipc
        )
        return [data_pb2.StreamBatchesResponse(schema=schema), batch]


def _record_batch(item: Waiting) -> data_pb2.RecordBatch:
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
