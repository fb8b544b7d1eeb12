"""Where samples come from: capabilities, links, drivers, simulated instruments."""

from ringdaq.instruments.capabilities import (
    LIMIT_QUANTITIES,
    VERBS,
    Configurable,
    EmissionControl,
    ExposureControl,
    FrameProducer,
    Movable,
    Readable,
    Safe,
    SampleProducer,
    Setting,
    Settings,
    ShutterControl,
    Stageable,
    Triggerable,
    WavelengthTunable,
    capabilities_of,
    verbs_of,
)
from ringdaq.instruments.catalogue import DRIVERS, check_rig, find_driver
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.registry import Entry, Registry, build_instruments
from ringdaq.instruments.sinks import Sink

__all__ = [
    "DRIVERS",
    "LIMIT_QUANTITIES",
    "VERBS",
    "Configurable",
    "Driver",
    "EmissionControl",
    "Entry",
    "ExposureControl",
    "FrameProducer",
    "Movable",
    "Readable",
    "Registry",
    "Safe",
    "SampleProducer",
    "Setting",
    "Settings",
    "ShutterControl",
    "Sink",
    "Site",
    "Stageable",
    "Triggerable",
    "WavelengthTunable",
    "build_instruments",
    "capabilities_of",
    "check_rig",
    "find_driver",
    "verbs_of",
]
