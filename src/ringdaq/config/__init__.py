"""What a rig is made of: the rig file, checked."""

from ringdaq.config.problems import Problem, nearest, problems_of, raise_problems
from ringdaq.config.rig import (
    DaemonConfig,
    InstrumentConfig,
    RecordingConfig,
    Rig,
    ScriptsConfig,
    Section,
    StreamConfig,
    TwinConfig,
    load_rig,
    parse_rig,
    rig_schema,
)
from ringdaq.config.values import Bounds, FilePath, Size, parse_size

__all__ = [
    "Bounds",
    "DaemonConfig",
    "FilePath",
    "InstrumentConfig",
    "Problem",
    "RecordingConfig",
    "Rig",
    "ScriptsConfig",
    "Section",
    "Size",
    "StreamConfig",
    "TwinConfig",
    "load_rig",
    "nearest",
    "parse_rig",
    "parse_size",
    "problems_of",
    "raise_problems",
    "rig_schema",
]
