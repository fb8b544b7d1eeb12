"""DataService: the streams, whole."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

from collections.abc import AsyncGenerator

from ringdaq.gateway import encode, history_messages
from ringdaq.gateway.batches import BatchSubscription
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.history import HistoryDesk
from ringdaq.gateway.history_turns import HistoryTurns
from ringdaq.gateway.link import DaemonLink
from ringdaq.gateway.rings import RingHub
from ringdaq.v1 import data_pb2, data_pb2_grpc
from ringdaq.wire import STANDS_KEY


class DataService(data_pb2_grpc.DataServiceServicer):
    """Lists streams through the daemon, and sends their records from the rings."""

    def __init__(self, link: DaemonLink, hub: RingHub, history: HistoryDesk) -> None:
        self._link = link
        self._hub = hub
        self._history = HistoryTurns(history)

    async def ListStreams(
        self, request: data_pb2.ListStreamsRequest, context: Context
    ) -> data_pb2.ListStreamsResponse:
        found = await self._link.call("streams.list")
        streams = sorted(found, key=lambda stream: str(stream["name"]))
        return data_pb2.ListStreamsResponse(streams=[encode.stream_info(s) for s in streams])

    async def StreamBatches(
        self, request: data_pb2.StreamBatchesRequest, context: Context
    ) -> AsyncGenerator[data_pb2.StreamBatchesResponse, None]:
        subscription = BatchSubscription(request.stream)
        async with self._hub.subscribed(subscription):
            await context.send_initial_metadata(((STANDS_KEY, "1"),))
            while messages := await subscription.take():
                for message in messages:
                    yield message

    async def QueryHistory(
        self, request: data_pb2.QueryHistoryRequest, context: Context
    ) -> AsyncGenerator[data_pb2.QueryHistoryResponse, None]:
        found = await self._history.query(
            request.stream,
            request.since_nanos or None,
            request.until_nanos or None,
            max_points=request.max_points or None,
            channels=list(request.channels),
        )
        for message in history_messages.encoded(found):
            yield message
