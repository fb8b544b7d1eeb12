"""ControlService: scripts, runs, what the daemon does, and single values as they come."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ringdaq.gateway import encode, encode_queue
from ringdaq.gateway.auth import caller
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.link import DaemonLink
from ringdaq.gateway.measurements import MeasurementSubscription
from ringdaq.gateway.queue_service import DRY_RUN_SECS
from ringdaq.gateway.rings import RingHub
from ringdaq.gateway.shared_poll import SharedPoll, SharedPolls
from ringdaq.gateway.wishes import ChannelFilter
from ringdaq.model import RunState
from ringdaq.v1 import control_pb2, control_pb2_grpc
from ringdaq.wire import STANDS_KEY, from_map

STATUS_PERIOD_SECS = 0.1
DEFAULT_LIMIT = 100


class ControlService(control_pb2_grpc.ControlServiceServicer):
    """Answers for the daemon behind the link; `urgent` is a link that nothing else fills."""

    def __init__(self, link: DaemonLink, urgent: DaemonLink, hub: RingHub) -> None:
        self._link = link
        self._urgent = urgent
        self._hub = hub
        self._system = SharedPoll(lambda: link.call("system.status"), STATUS_PERIOD_SECS)
        self._runs = SharedPolls(self._status, STATUS_PERIOD_SECS)

    async def UploadScript(
        self, request: control_pb2.UploadScriptRequest, context: Context
    ) -> control_pb2.UploadScriptResponse:
        params = {
            "content": request.script_content,
            "name": request.name,
            "metadata": dict(request.metadata),
            "user": caller(context),
        }
        stored = await self._link.call("scripts.upload", params)
        shown = {"metadata": params["metadata"], **stored}
        return control_pb2.UploadScriptResponse(script=encode.script_info(shown))

    async def StartScript(
        self, request: control_pb2.StartScriptRequest, context: Context
    ) -> control_pb2.StartScriptResponse:
        granted = list(request.instruments.names) if request.HasField("instruments") else None
        params = {
            "script": request.script_id,
            "parameters": from_map(request.parameters),
            "instruments": granted,
            "user": caller(context),
        }
        started = await self._link.call("runs.start", params)
        return control_pb2.StartScriptResponse(execution_id=started["run_id"])

    async def StopScript(
        self, request: control_pb2.StopScriptRequest, context: Context
    ) -> control_pb2.StopScriptResponse:
        params = {
            "run_id": request.execution_id,
            "force": request.force,
            "user": caller(context),
        }
        stopped = await self._urgent.call("runs.stop", params)
        return control_pb2.StopScriptResponse(state=encode.run_state(stopped["state"]))

    async def PauseScript(
        self, request: control_pb2.PauseScriptRequest, context: Context
    ) -> control_pb2.PauseScriptResponse:
        params = {"run_id": request.execution_id, "user": caller(context)}
        paused = await self._urgent.call("runs.pause", params)
        return control_pb2.PauseScriptResponse(state=encode.run_state(paused["state"]))

    async def ResumeScript(
        self, request: control_pb2.ResumeScriptRequest, context: Context
    ) -> control_pb2.ResumeScriptResponse:
        params = {"run_id": request.execution_id, "user": caller(context)}
        resumed = await self._urgent.call("runs.resume", params)
        return control_pb2.ResumeScriptResponse(state=encode.run_state(resumed["state"]))

    async def GetScriptStatus(
        self, request: control_pb2.GetScriptStatusRequest, context: Context
    ) -> control_pb2.GetScriptStatusResponse:
        run = await self._status(request.execution_id)
        return control_pb2.GetScriptStatusResponse(status=encode.script_status(run))

    async def WatchScript(
        self, request: control_pb2.WatchScriptRequest, context: Context
    ) -> AsyncGenerator[control_pb2.WatchScriptResponse, None]:
        before = None
        async with aclosing(self._runs.listen(request.execution_id)) as answers:
            async for run in answers:
                if run != before:
                    before = run
                    yield control_pb2.WatchScriptResponse(status=encode.script_status(run))
                if RunState(run["state"]).ended:
                    return

    async def _status(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._link.call("runs.status", {"run_id": run_id})
        return found

    async def StreamStatus(
        self, request: control_pb2.StreamStatusRequest, context: Context
    ) -> AsyncGenerator[control_pb2.StreamStatusResponse, None]:
        async with aclosing(self._system.listen()) as answers:
            async for plain in answers:
                yield encode.system_status(plain)

    async def StreamMeasurements(
        self, request: control_pb2.StreamMeasurementsRequest, context: Context
    ) -> AsyncGenerator[control_pb2.StreamMeasurementsResponse, None]:
        wanted = ChannelFilter(request.channels)
        subscription = MeasurementSubscription(wanted, max_rate_hz=request.max_rate_hz)
        async with self._hub.subscribed(subscription):
            await context.send_initial_metadata(((STANDS_KEY, "1"),))
            while channels := await subscription.take():
                yield control_pb2.StreamMeasurementsResponse(channels=channels)

    async def ListScripts(
        self, request: control_pb2.ListScriptsRequest, context: Context
    ) -> control_pb2.ListScriptsResponse:
        scripts = await self._link.call("scripts.list")
        return control_pb2.ListScriptsResponse(scripts=[encode.script_info(s) for s in scripts])

    async def GetScript(
        self, request: control_pb2.GetScriptRequest, context: Context
    ) -> control_pb2.GetScriptResponse:
        stored = await self._link.call("scripts.get", {"script_id": request.script_id})
        return control_pb2.GetScriptResponse(
            script=encode.script_info(stored), content=stored["content"]
        )

    async def DryRunScript(
        self, request: control_pb2.DryRunScriptRequest, context: Context
    ) -> control_pb2.DryRunScriptResponse:
        granted = list(request.instruments.names) if request.HasField("instruments") else None
        params = {
            "script": request.script_id,
            "parameters": from_map(request.parameters),
            "instruments": granted,
        }
        report = await self._link.call("scripts.dry_run", params, timeout=DRY_RUN_SECS)
        return encode_queue.dry_run(report)

    async def ListExecutions(
        self, request: control_pb2.ListExecutionsRequest, context: Context
    ) -> control_pb2.ListExecutionsResponse:
        params = {
            "script_id": request.script_id if request.HasField("script_id") else None,
            "state": encode.state_word(request.state),
            "limit": request.limit or DEFAULT_LIMIT,
        }
        runs = await self._link.call("runs.list", params)
        return control_pb2.ListExecutionsResponse(
            executions=[encode.script_status(run) for run in runs]
        )

    async def GetDaemonInfo(
        self, request: control_pb2.GetDaemonInfoRequest, context: Context
    ) -> control_pb2.GetDaemonInfoResponse:
        return encode.daemon_info(await self._link.call("info"))
