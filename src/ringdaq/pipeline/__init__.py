"""What is computed on the way: graphs of stages between ring and ring."""

from ringdaq.pipeline.build import Built, BuiltSink, BuiltSource, build
from ringdaq.pipeline.changes import changes
from ringdaq.pipeline.edges import Edge
from ringdaq.pipeline.graph import CheckedGraph, CheckedStage, check
from ringdaq.pipeline.native import NativeStage, native_stage
from ringdaq.pipeline.parts import Feed, PacketFormat, RefusedError, Sink, Site, Source
from ringdaq.pipeline.plugins import Plugin
from ringdaq.pipeline.running import RunningPipeline
from ringdaq.pipeline.views import EegDataView, EegDataViewMut

__all__ = [
    "Built",
    "BuiltSink",
    "BuiltSource",
    "CheckedGraph",
    "CheckedStage",
    "Edge",
    "EegDataView",
    "EegDataViewMut",
    "Feed",
    "NativeStage",
    "PacketFormat",
    "Plugin",
    "RefusedError",
    "RunningPipeline",
    "Sink",
    "Site",
    "Source",
    "build",
    "changes",
    "check",
    "native_stage",
]
