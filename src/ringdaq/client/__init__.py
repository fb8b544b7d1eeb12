"""The Python way in: sync and async clients, zero-copy attach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringdaq.client.pipeline_results import PipelineInfo, PipelineStatistics
from ringdaq.client.queue_results import (
    DryRunReport,
    ExpectedRun,
    QueueEntry,
    QueueState,
    Violation,
)
from ringdaq.client.results import (
    DaemonInfo,
    InstrumentInfo,
    LogEntry,
    MeasurementBatch,
    Points,
    RecordedStream,
    Recording,
    RingStatistics,
    RunStatus,
    ScriptInfo,
    StreamBatch,
    StreamInfo,
    SystemStatus,
    TraceEntry,
)
from ringdaq.client.runs import CataloguedStream, Comparison, RunRecord
from ringdaq.history import History, HistoryGap, HistoryPart

if TYPE_CHECKING:
    from ringdaq.client.aio import AsyncClient
    from ringdaq.client.subscription import Subscription
    from ringdaq.client.subscription_aio import AsyncSubscription
    from ringdaq.client.sync import Client

__all__ = [
    "AsyncClient",
    "AsyncSubscription",
    "CataloguedStream",
    "Client",
    "Comparison",
    "DaemonInfo",
    "DryRunReport",
    "ExpectedRun",
    "History",
    "HistoryGap",
    "HistoryPart",
    "InstrumentInfo",
    "LogEntry",
    "MeasurementBatch",
    "PipelineInfo",
    "PipelineStatistics",
    "Points",
    "QueueEntry",
    "QueueState",
    "RecordedStream",
    "Recording",
    "RingStatistics",
    "RunRecord",
    "RunStatus",
    "ScriptInfo",
    "StreamBatch",
    "StreamInfo",
    "Subscription",
    "SystemStatus",
    "TraceEntry",
    "Violation",
    "connect",
    "connect_async",
]

_LAZY = {
    "AsyncClient": "ringdaq.client.aio",
    "AsyncSubscription": "ringdaq.client.subscription_aio",
    "Client": "ringdaq.client.sync",
    "Subscription": "ringdaq.client.subscription",
}


def connect(address: str | None = None, token: str | None = None) -> Client:
    """Connect to a daemon; without an address, to this machine's own, with its own token.

    Raises `DaemonUnreachableError` or `AuthenticationError` at once, not at the first call.
    """
    from ringdaq.client.address import find_endpoint
    from ringdaq.wire import require_grpc

    endpoint = find_endpoint(address, token)
    require_grpc()
    from ringdaq.client.sync import Client

    client = Client(endpoint)
    try:
        client.info()
    except BaseException:
        client.close()
        raise
    return client


async def connect_async(address: str | None = None, token: str | None = None) -> AsyncClient:
    """`connect` for asyncio."""
    from ringdaq.client.address import find_endpoint
    from ringdaq.wire import require_grpc

    endpoint = find_endpoint(address, token)
    require_grpc()
    from ringdaq.client.aio import AsyncClient

    client = AsyncClient(endpoint)
    try:
        await client.info()
    except BaseException:
        await client.close()
        raise
    return client


def __getattr__(name: str) -> Any:
    """Load the clients, and gRPC with them, when they are first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    from ringdaq.wire import require_grpc

    require_grpc()
    return getattr(importlib.import_module(_LAZY[name]), name)
