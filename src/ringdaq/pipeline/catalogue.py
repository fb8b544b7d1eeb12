"""Which types of stages there are, and where each lives.

A row is all it takes to make a type known. Its `place` is `module:Class`, imported when a graph
first names the type, and the class is by role:

- transform: a `ringdaq.pipeline.transform.Transform`, whose fields are the type's parameters;
- source: a class with `Options` (a `ringdaq.config.Section`), made as `Class(options, site)`, that
  has the methods of `ringdaq.pipeline.Source`. `format()` is called while a graph is checked; where
  it reaches for the network or for hardware, the class says `connects = True`, and then it is
  called only when the graph is to run. Making one touches nothing, and `close()` may come without
  `format()` or `run()` before it;
- sink: likewise with the methods of `ringdaq.pipeline.Sink`; making one touches nothing. `takes`,
  where it is there, is the tuple of the kinds of packets that it takes, and `check(format)`, where
  it is there, raises a `RefusedError` for packets that it cannot take.

A type's keys must not be those of every stage (`ringdaq.config.StageConfig`), and what a user got
wrong in them is a `ConfigError` or a `RefusedError` with the key.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from ringdaq.config import Section, nearest
from ringdaq.errors import ConfigError, MissingExtraError

Role = Literal["source", "transform", "sink"]
SOURCES = "ringdaq.pipeline.sources"
SINKS = "ringdaq.pipeline.sinks"
STAGES = "ringdaq.pipeline.stages"


@dataclass(frozen=True, slots=True)
class StageKind:
    """A type of stage."""

    role: Role
    place: str
    """`module:Class`."""
    summary: str
    """What it does, for a page's table: no full stop."""
    extra: str = ""
    """The extra of ringdaq that it needs, where it needs one."""
    inputs: tuple[str, ...] = ()
    """The names of its ways in, where each has a meaning of its own."""
    plugin: str = ""
    """The installed plugin's name, where it is one."""

    @property
    def plane(self) -> str:
        """Where it runs."""
        native = self.role == "transform" or self.place.startswith(f"{STAGES}.rings:")
        return "data_plane" if native else "control_plane"

    def load(self) -> type[Any]:
        """The class; a `MissingExtraError` where a package is not there."""
        module, _, attribute = self.place.partition(":")
        try:
            return cast(type[Any], getattr(importlib.import_module(module), attribute))
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").startswith("ringdaq"):
                raise
            raise MissingExtraError(
                f"this type of stage needs {error.name}; install it with: "
                f"pip install 'ringdaq[{self.extra}]'",
                extra=self.extra,
            ) from error

    def options(self) -> type[Section]:
        """The model of its parameters."""
        found = self.load()
        return cast(type[Section], found if self.role == "transform" else found.Options)


def _transform(place: str, summary: str, extra: str = "") -> StageKind:
    return StageKind("transform", f"{STAGES}.{place}", summary, extra)


def _source(place: str, summary: str, extra: str = "") -> StageKind:
    return StageKind("source", f"{SOURCES}.{place}", summary, extra)


def _sink(place: str, summary: str, extra: str = "") -> StageKind:
    return StageKind("sink", f"{SINKS}.{place}", summary, extra)


KINDS: Mapping[str, StageKind] = MappingProxyType(
    {
        # Sources.
        "ring_source": StageKind("source", f"{STAGES}.rings:RingSource", "records of a stream"),
        "simulated_eeg": _source("simulated_eeg:SimulatedEegSource", "rhythms, hum and noise"),
        "edf_replay": _source("edf_replay:EdfReplaySource", "an EDF or BDF file, played", "edf"),
        "ads1299": _source("ads1299:Ads1299Source", "a converter on SPI, real or simulated"),
        "brainflow": _source("brainflow_board:BrainFlowBoard", "a board of BrainFlow", "brainflow"),
        "lsl_source": _source("lsl_inlet:LslInlet", "an LSL stream", "lsl"),
        # Transforms.
        "to_voltage": _transform("voltage:ToVoltage", "counts of a converter to volts"),
        "reference": _transform(
            "reference:Reference", "against the mean, a channel, or the neighbours"
        ),
        "highpass": _transform("filters:Highpass", "what lies above a frequency", "pipeline"),
        "lowpass": _transform("filters:Lowpass", "what lies below a frequency", "pipeline"),
        "bandpass": _transform("filters:Bandpass", "what lies between frequencies", "pipeline"),
        "notch": _transform("filters:Notch", "all but one frequency", "pipeline"),
        "sos": _transform("filters:Sections", "second-order sections as you write them"),
        "decimate": _transform("decimate:Decimate", "one of so many samples", "pipeline"),
        "envelope": _transform("filters:Envelope", "absolute value, smoothed", "pipeline"),
        "rfft": _transform("spectra:Rfft", "the spectrum of each packet"),
        "welch": _transform("spectra:Welch", "power densities by Welch's method"),
        "band_power": _transform("spectra:BandPower", "the power in bands"),
        "threshold": _transform("threshold:Threshold", "triggers where a channel crosses a level"),
        "epoch": _transform("epoch:Epoch", "the samples around each trigger"),
        "zip": StageKind(
            "transform",
            f"{STAGES}.zip:Zip",
            "two sources side by side, their clocks aligned",
            inputs=("first", "second"),
        ),
        "pass": _transform("passing:Pass", "nothing"),
        "plugin": _transform("plugin:Plugin", "what your own Python says"),
        # Sinks.
        "ring_sink": StageKind("sink", f"{STAGES}.rings:RingSink", "a stream of its own"),
        "websocket_sink": StageKind(
            "sink", f"{STAGES}.rings:RingSink", "the same: the gateway serves it to browsers"
        ),
        "lsl_sink": _sink("lsl_outlet:LslOutlet", "an LSL stream", "lsl"),
        "csv_sink": _sink("csv_file:CsvFile", "a CSV file, a line a sample"),
        "edf_sink": _sink("edf_file:EdfFile", "EDF or BDF files", "edf"),
    }
)
"""ringdaq's own types by name; beside them there are those of installed plugins."""


def find_kind(name: str) -> StageKind:
    """The type of a name; a `ConfigError` names the nearest."""
    from ringdaq.pipeline.plugins import installed

    if name in KINDS:
        return KINDS[name]
    plugins = installed()
    if name in plugins:
        return StageKind("transform", f"{STAGES}.plugin:Plugin", "a plugin", plugin=name)
    raise ConfigError(f"no type of stage {name!r}; {nearest(name, [*KINDS, *plugins])}")
