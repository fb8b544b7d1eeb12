"""PipelineService: the daemon's pipelines, listed, started, changed and ended."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

from typing import Any

from ringdaq.gateway.auth import caller
from ringdaq.gateway.encode import Plain
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.link import DaemonLink
from ringdaq.v1 import pipelines_pb2, pipelines_pb2_grpc
from ringdaq.wire import fill_values, from_map

DRAIN_SECS = 90.0
"""Longer than a daemon lets a pipeline take to its end."""
PARTS = ("branches", "stages", "queues", "pools", "sources", "sinks")


class PipelineService(pipelines_pb2_grpc.PipelineServiceServicer):
    """Answers for the daemon behind the link."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link

    async def ListPipelines(
        self, request: pipelines_pb2.ListPipelinesRequest, context: Context
    ) -> pipelines_pb2.ListPipelinesResponse:
        found = await self._link.call("pipeline.list")
        return pipelines_pb2.ListPipelinesResponse(pipelines=map(pipeline_info, found))

    async def StartPipeline(
        self, request: pipelines_pb2.StartPipelineRequest, context: Context
    ) -> pipelines_pb2.StartPipelineResponse:
        wish = {"text": request.text, "preset": request.preset}
        info = await self._do(
            context, "start", request.name, parameters=from_map(request.parameters), **wish
        )
        return pipelines_pb2.StartPipelineResponse(pipeline=info)

    async def StopPipeline(
        self, request: pipelines_pb2.StopPipelineRequest, context: Context
    ) -> pipelines_pb2.StopPipelineResponse:
        info = await self._do(context, "stop", request.name)
        return pipelines_pb2.StopPipelineResponse(pipeline=info)

    async def PausePipeline(
        self, request: pipelines_pb2.PausePipelineRequest, context: Context
    ) -> pipelines_pb2.PausePipelineResponse:
        info = await self._do(context, "pause", request.name)
        return pipelines_pb2.PausePipelineResponse(pipeline=info)

    async def ResumePipeline(
        self, request: pipelines_pb2.ResumePipelineRequest, context: Context
    ) -> pipelines_pb2.ResumePipelineResponse:
        info = await self._do(context, "resume", request.name)
        return pipelines_pb2.ResumePipelineResponse(pipeline=info)

    async def DrainPipeline(
        self, request: pipelines_pb2.DrainPipelineRequest, context: Context
    ) -> pipelines_pb2.DrainPipelineResponse:
        info = await self._do(context, "drain", request.name)
        return pipelines_pb2.DrainPipelineResponse(pipeline=info)

    async def SetParameters(
        self, request: pipelines_pb2.SetParametersRequest, context: Context
    ) -> pipelines_pb2.SetParametersResponse:
        info = await self._do(context, "set", request.name, values=from_map(request.parameters))
        return pipelines_pb2.SetParametersResponse(pipeline=info)

    async def GetStatistics(
        self, request: pipelines_pb2.GetStatisticsRequest, context: Context
    ) -> pipelines_pb2.GetStatisticsResponse:
        found = await self._link.call("pipeline.stats", {"name": request.name})
        answer = pipelines_pb2.GetStatisticsResponse(
            pipeline=pipeline_info(found),
            lost=found.get("lost", 0),
            lost_samples=found.get("lost_samples", 0),
        )
        fill_values(answer.counters, {part: found[part] for part in PARTS if part in found})
        return answer

    async def _do(
        self, context: Context, verb: str, name: str, **params: Any
    ) -> pipelines_pb2.PipelineInfo:
        params |= {"name": name, "user": caller(context)}
        return pipeline_info(await self._link.call(f"pipeline.{verb}", params, timeout=DRAIN_SECS))


def pipeline_info(plain: Plain) -> pipelines_pb2.PipelineInfo:
    """How a pipeline is."""
    info = pipelines_pb2.PipelineInfo(
        pid=plain["pid"] or 0,
        **{
            key: plain[key]
            for key in ("name", "state", "error", "restarts", "streams", "preset", "hash", "path")
        },
    )
    fill_values(info.parameters, plain["parameters"])
    return info
