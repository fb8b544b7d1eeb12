"""Calls of pipelines, and what comes back; shared by both clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ringdaq.client.calls import Call
from ringdaq.client.pipeline_results import PipelineInfo, PipelineStatistics
from ringdaq.v1 import pipelines_pb2
from ringdaq.wire import fill_values, from_map

if TYPE_CHECKING:
    from google.protobuf.message import Message

PIPELINES = "/ringdaq.v1.PipelineService/"
DRAIN_SECS = 100.0


def name_of(pipeline: str | PipelineInfo) -> str:
    """The pipeline's name."""
    return pipeline if isinstance(pipeline, str) else pipeline.name


def _info(message: pipelines_pb2.PipelineInfo) -> PipelineInfo:
    return PipelineInfo(
        name=message.name,
        state=message.state,
        error=message.error,
        pid=message.pid or None,
        restarts=message.restarts,
        streams=list(message.streams),
        preset=message.preset,
        parameters=from_map(message.parameters),
        hash=message.hash,
        path=message.path,
    )


def _changing(name: str, request: Message, response: type[Message]) -> Call[PipelineInfo]:
    return Call(PIPELINES + name, request, response, lambda a: _info(a.pipeline), DRAIN_SECS)


def listed() -> Call[list[PipelineInfo]]:
    """All of them."""
    return Call(
        PIPELINES + "ListPipelines",
        pipelines_pb2.ListPipelinesRequest(),
        pipelines_pb2.ListPipelinesResponse,
        lambda answer: [_info(one) for one in answer.pipelines],
    )


def start(
    name: str, text: str, preset: str, parameters: Mapping[str, object] | None
) -> Call[PipelineInfo]:
    """Start one of the rig's, or one whose text is given."""
    request = pipelines_pb2.StartPipelineRequest(name=name, text=text, preset=preset)
    fill_values(request.parameters, parameters or {})
    return _changing("StartPipeline", request, pipelines_pb2.StartPipelineResponse)


def stop(pipeline: str | PipelineInfo) -> Call[PipelineInfo]:
    """End it."""
    request = pipelines_pb2.StopPipelineRequest(name=name_of(pipeline))
    return _changing("StopPipeline", request, pipelines_pb2.StopPipelineResponse)


def pause(pipeline: str | PipelineInfo) -> Call[PipelineInfo]:
    """Hold it."""
    request = pipelines_pb2.PausePipelineRequest(name=name_of(pipeline))
    return _changing("PausePipeline", request, pipelines_pb2.PausePipelineResponse)


def resume(pipeline: str | PipelineInfo) -> Call[PipelineInfo]:
    """Let it go on."""
    request = pipelines_pb2.ResumePipelineRequest(name=name_of(pipeline))
    return _changing("ResumePipeline", request, pipelines_pb2.ResumePipelineResponse)


def drain(pipeline: str | PipelineInfo) -> Call[PipelineInfo]:
    """Let it finish, and end."""
    request = pipelines_pb2.DrainPipelineRequest(name=name_of(pipeline))
    return _changing("DrainPipeline", request, pipelines_pb2.DrainPipelineResponse)


def set_parameters(
    pipeline: str | PipelineInfo, parameters: Mapping[str, object]
) -> Call[PipelineInfo]:
    """Change parameters."""
    request = pipelines_pb2.SetParametersRequest(name=name_of(pipeline))
    fill_values(request.parameters, parameters)
    return _changing("SetParameters", request, pipelines_pb2.SetParametersResponse)


def statistics(pipeline: str | PipelineInfo) -> Call[PipelineStatistics]:
    """What it has counted."""
    return Call(
        PIPELINES + "GetStatistics",
        pipelines_pb2.GetStatisticsRequest(name=name_of(pipeline)),
        pipelines_pb2.GetStatisticsResponse,
        lambda answer: PipelineStatistics(
            _info(answer.pipeline),
            answer.lost,
            answer.lost_samples,
            from_map(answer.counters),
        ),
    )
