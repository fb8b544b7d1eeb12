"""QueueService: runs that wait for their turn."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

from typing import Any

from ringdaq.gateway.auth import caller
from ringdaq.gateway.encode_queue import on_failure_word, queue_entry, queue_state
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.link import DaemonLink
from ringdaq.v1 import queue_pb2, queue_pb2_grpc
from ringdaq.wire import from_map

DRY_RUN_SECS = 120.0
"""Longer than a daemon lets a dry run take."""


class QueueService(queue_pb2_grpc.QueueServiceServicer):
    """Answers for the daemon behind the link."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link

    async def AddEntry(
        self, request: queue_pb2.AddEntryRequest, context: Context
    ) -> queue_pb2.AddEntryResponse:
        granted = list(request.instruments.names) if request.HasField("instruments") else None
        params = {
            "script": request.script_id,
            "parameters": from_map(request.parameters),
            "instruments": granted,
            "repeat": request.repeat or 1,
            "on_failure": on_failure_word(request.on_failure),
            "dry_run": not request.skip_dry_run,
            "user": caller(context),
        }
        entry = await self._link.call("queue.add", params, timeout=DRY_RUN_SECS)
        return queue_pb2.AddEntryResponse(entry=queue_entry(entry))

    async def ListEntries(
        self, request: queue_pb2.ListEntriesRequest, context: Context
    ) -> queue_pb2.ListEntriesResponse:
        found = await self._link.call("queue.list")
        return queue_pb2.ListEntriesResponse(queue=queue_state(found))

    async def MoveEntry(
        self, request: queue_pb2.MoveEntryRequest, context: Context
    ) -> queue_pb2.MoveEntryResponse:
        where = {"entry_id": request.entry_id, "to": request.place}
        return queue_pb2.MoveEntryResponse(queue=await self._do(context, "move", **where))

    async def RemoveEntry(
        self, request: queue_pb2.RemoveEntryRequest, context: Context
    ) -> queue_pb2.RemoveEntryResponse:
        left = await self._do(context, "remove", entry_id=request.entry_id)
        return queue_pb2.RemoveEntryResponse(queue=left)

    async def EditEntry(
        self, request: queue_pb2.EditEntryRequest, context: Context
    ) -> queue_pb2.EditEntryResponse:
        changes: dict[str, Any] = {}
        if request.HasField("parameters"):
            changes["parameters"] = from_map(request.parameters.values)
        if request.HasField("repeat"):
            changes["repeat"] = request.repeat
        if request.HasField("on_failure"):
            changes["on_failure"] = on_failure_word(request.on_failure)
        dry_run = not request.skip_dry_run
        found = await self._do(
            context, "edit", entry_id=request.entry_id, dry_run=dry_run, **changes
        )
        return queue_pb2.EditEntryResponse(queue=found)

    async def PauseQueue(
        self, request: queue_pb2.PauseQueueRequest, context: Context
    ) -> queue_pb2.PauseQueueResponse:
        return queue_pb2.PauseQueueResponse(queue=await self._do(context, "pause"))

    async def ResumeQueue(
        self, request: queue_pb2.ResumeQueueRequest, context: Context
    ) -> queue_pb2.ResumeQueueResponse:
        return queue_pb2.ResumeQueueResponse(queue=await self._do(context, "resume"))

    async def _do(self, context: Context, what: str, **params: Any) -> queue_pb2.QueueState:
        """Have the daemon change its queue; the queue as it is then."""
        params["user"] = caller(context)
        return queue_state(await self._link.call(f"queue.{what}", params, timeout=DRY_RUN_SECS))
