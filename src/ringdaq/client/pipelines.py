"""Pipelines, as the blocking client sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ringdaq.client import pipeline_calls
from ringdaq.client.pipeline_results import PipelineInfo, PipelineStatistics


class Pipelines:
    """The daemon's pipelines; made by the client, as its `pipelines`."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask

    def list(self) -> list[PipelineInfo]:
        """All of them."""
        found: list[PipelineInfo] = self._ask(pipeline_calls.listed())
        return found

    def start(
        self,
        name: str = "",
        *,
        text: str = "",
        preset: str = "",
        parameters: Mapping[str, object] | None = None,
    ) -> PipelineInfo:
        """Start one of the rig's by name, or one whose text is given.

        Raises `PipelineBusyError` while it runs.
        """
        found: PipelineInfo = self._ask(pipeline_calls.start(name, text, preset, parameters))
        return found

    def stop(self, pipeline: str | PipelineInfo) -> PipelineInfo:
        """End one; what is on its way is finished, for a few seconds at most."""
        found: PipelineInfo = self._ask(pipeline_calls.stop(pipeline))
        return found

    def pause(self, pipeline: str | PipelineInfo) -> PipelineInfo:
        """Hold one; its queues fill, and do what their policy says."""
        found: PipelineInfo = self._ask(pipeline_calls.pause(pipeline))
        return found

    def resume(self, pipeline: str | PipelineInfo) -> PipelineInfo:
        """Let one go on."""
        found: PipelineInfo = self._ask(pipeline_calls.resume(pipeline))
        return found

    def drain(self, pipeline: str | PipelineInfo) -> PipelineInfo:
        """Let one finish what is on its way, and end."""
        found: PipelineInfo = self._ask(pipeline_calls.drain(pipeline))
        return found

    def set(self, pipeline: str | PipelineInfo, parameters: Mapping[str, object]) -> PipelineInfo:
        """Change parameters, `stage.parameter`, all or none.

        Raises `PipelineBusyError` while its streams are recorded.
        """
        found: PipelineInfo = self._ask(pipeline_calls.set_parameters(pipeline, parameters))
        return found

    def statistics(self, pipeline: str | PipelineInfo) -> PipelineStatistics:
        """What one has counted, and how long its packets take."""
        found: PipelineStatistics = self._ask(pipeline_calls.statistics(pipeline))
        return found
