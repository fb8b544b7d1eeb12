"""What a daemon tells of its pipelines, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """How a pipeline is."""

    name: str
    state: str
    """`running`, for instance; see the page on running pipelines."""
    error: str
    """What went wrong last, or `""`."""
    pid: int | None
    restarts: int
    streams: list[str]
    preset: str
    parameters: dict[str, Any]
    """What was changed while it ran, by `stage.parameter`."""
    hash: str
    path: str


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    """What a pipeline has counted."""

    pipeline: PipelineInfo
    lost: int
    """Packets that led to no result."""
    lost_samples: int
    """Samples that did not reach it."""
    counters: dict[str, Any]
    """By part, such as `stages`, then by name."""
