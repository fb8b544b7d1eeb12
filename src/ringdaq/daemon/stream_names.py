"""Whose a stream's name is, whether or not its writer is there now."""

from __future__ import annotations

from ringdaq.config import PipelineConfig


def result_names(config: PipelineConfig) -> set[str]:
    """The streams that a pipeline's text makes."""
    return {
        str(stage.parameters.get("stream") or f"{config.name}.{stage.called}")
        for stage in config.stages
        if stage.type == "ring_sink"
    }
