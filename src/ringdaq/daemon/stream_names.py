"""Whose a stream's name is, whether or not its writer is there now."""

from __future__ import annotations

from collections.abc import Iterable

from ringdaq.config import PipelineConfig, Rig


def kept_names(rig: Rig, absent: Iterable[str]) -> set[str]:
    """The names of streams that are kept for instruments.

    - `absent`: instruments that could not be connected; what they would fill is known in part.
    """
    ways = ("", ".position", ".value")
    return set(rig.streams) | {f"{name}{way}" for name in absent for way in ways}


def result_names(config: PipelineConfig) -> set[str]:
    """The streams that a pipeline's text makes."""
    return {
        str(stage.parameters.get("stream") or f"{config.name}.{stage.called}")
        for stage in config.stages
        if stage.type == "ring_sink"
    }
