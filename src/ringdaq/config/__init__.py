"""What a rig is made of: the rig file, checked."""

from ringdaq.config.pipeline import (
    ConnectionConfig,
    PipelineConfig,
    PipelineEntry,
    PlacementConfig,
    PoolConfig,
    StageConfig,
    load_pipeline,
    parse_pipeline,
)
from ringdaq.config.problems import Problem, nearest, problems_of, raise_problems
from ringdaq.config.rig import (
    DaemonConfig,
    InstrumentConfig,
    RecordingConfig,
    Rig,
    ScriptsConfig,
    StreamConfig,
    TwinConfig,
    load_rig,
    parse_rig,
    rig_schema,
)
from ringdaq.config.section import Section
from ringdaq.config.values import Bounds, FilePath, RateHz, Size, parse_size

__all__ = [
    "Bounds",
    "ConnectionConfig",
    "DaemonConfig",
    "FilePath",
    "InstrumentConfig",
    "PipelineConfig",
    "PipelineEntry",
    "PlacementConfig",
    "PoolConfig",
    "Problem",
    "RateHz",
    "RecordingConfig",
    "Rig",
    "ScriptsConfig",
    "Section",
    "Size",
    "StageConfig",
    "StreamConfig",
    "TwinConfig",
    "load_pipeline",
    "load_rig",
    "nearest",
    "parse_pipeline",
    "parse_rig",
    "parse_size",
    "problems_of",
    "raise_problems",
    "rig_schema",
]
