"""What an instrument can do, as small Protocols; an instrument satisfies as many as it likes.

All methods are synchronous and may block, up to the deadline that the daemon sets.
`stop` and `make_safe` are the exception: they may be called from another thread during any other
call, and act at once.
"""

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypedDict, runtime_checkable

from ringdaq.instruments.sinks import Sink
from ringdaq.model import StreamSpec


class Setting(TypedDict):
    """One slow knob as it stands in files: `{"value": 0.01, "unit": "s"}`, unit `""` for none."""

    value: float | int | str | bool
    unit: str


Settings = dict[str, Setting]


@runtime_checkable
class Movable(Protocol):
    """Something that goes somewhere and says where it is."""

    position_unit: str

    def move_abs(self, position: float) -> None:
        """Start towards a position and return; a number that is not finite is a `LimitError`."""

    def move_rel(self, distance: float) -> None:
        """Start towards a place this far from here, and return."""

    def position(self) -> float:
        """Where it is now, as read back."""

    def wait_settled(self, timeout: float) -> None:
        """Wait until it rests, for `timeout` seconds at most.

        Rest is not arrival: a motion that somebody stops during the wait is an
        `InstrumentFaultError`, and `position` says where it ended.
        """

    def stop(self) -> None:
        """End the motion, from any thread and at once."""


@runtime_checkable
class Readable(Protocol):
    """Something that has one value at a time."""

    reading_unit: str

    def read(self) -> float:
        """Take the value now."""


@runtime_checkable
class Triggerable(Protocol):
    """Something that acts on command once it is armed."""

    def arm(self) -> None:
        """Get ready; stays armed until `make_safe` or `unstage`."""

    def trigger(self) -> int:
        """Act once and return the number of what was taken.

        Raises an `InstrumentFaultError` when it is not armed.
        """

    def is_armed(self) -> bool:
        """Whether a trigger would act."""


@runtime_checkable
class FrameProducer(Protocol):
    """Something that makes frames and puts them into a sink."""

    def frame_spec(self) -> StreamSpec:
        """What its frames look like, a stream of kind `frames`."""

    def set_sink(self, sink: Sink) -> None:
        """Say where frames go; called once, before the first frame."""

    def start_stream(self, frames: int = 0) -> None:
        """Begin to make frames, `frames` of them or (0) until stopped, and return."""

    def stop_stream(self) -> int:
        """End it and return how many frames were made."""

    def resolution(self) -> tuple[int, int]:
        """Width and height in pixels."""


@runtime_checkable
class SampleProducer(Protocol):
    """Something that makes blocks of samples all the time."""

    def stream_specs(self) -> list[StreamSpec]:
        """The streams it fills, all of kind `samples`, one for each sample rate."""

    def run(self, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
        """Fill the sinks, keyed by stream name, until `stop` is set or the source ends."""


@runtime_checkable
class ExposureControl(Protocol):
    """Something with an exposure time."""

    def set_exposure(self, seconds: float) -> None:
        """Set the exposure time of the frames to come."""

    def get_exposure(self) -> float:
        """The exposure time in seconds."""


@runtime_checkable
class WavelengthTunable(Protocol):
    """Something with a wavelength."""

    def set_wavelength(self, nanometres: float) -> None:
        """Tune to a wavelength."""

    def get_wavelength(self) -> float:
        """The wavelength in nm."""

    def wavelength_range(self) -> tuple[float, float]:
        """The shortest and the longest wavelength in nm."""


@runtime_checkable
class ShutterControl(Protocol):
    """Something with a shutter."""

    def open_shutter(self) -> None:
        """Let light through."""

    def close_shutter(self) -> None:
        """Hold light back."""

    def is_shutter_open(self) -> bool:
        """Whether light passes."""


@runtime_checkable
class EmissionControl(Protocol):
    """Something that can emit."""

    def enable_emission(self) -> None:
        """Switch the emission on."""

    def disable_emission(self) -> None:
        """Switch the emission off."""

    def is_emission_enabled(self) -> bool:
        """Whether it emits."""


@runtime_checkable
class Configurable(Protocol):
    """Something with slow knobs, which are written into every file."""

    def settings(self) -> Settings:
        """All knobs by name, each `{"value": ..., "unit": ...}`."""

    def configure(self, **knobs: Any) -> None:
        """Set knobs by name; all are checked before the first is set."""


@runtime_checkable
class Stageable(Protocol):
    """Something that is got ready before a run and put back after it."""

    def stage(self) -> None:
        """Get ready; a second time changes nothing."""

    def unstage(self) -> None:
        """Put back; a second time changes nothing."""


@runtime_checkable
class Safe(Protocol):
    """Something with a safe state. Every instrument has one."""

    def make_safe(self) -> None:
        """Come to the safe state, from any thread, at once, and any number of times."""


VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Movable": ("move_abs", "move_rel", "position", "wait_settled", "stop"),
        "Readable": ("read",),
        "Triggerable": ("arm", "trigger", "is_armed"),
        "FrameProducer": ("start_stream", "stop_stream", "resolution"),
        "SampleProducer": (),
        "ExposureControl": ("set_exposure", "get_exposure"),
        "WavelengthTunable": ("set_wavelength", "get_wavelength", "wavelength_range"),
        "ShutterControl": ("open_shutter", "close_shutter", "is_shutter_open"),
        "EmissionControl": ("enable_emission", "disable_emission", "is_emission_enabled"),
        "Configurable": ("settings", "configure"),
        "Stageable": ("stage", "unstage"),
        "Safe": ("make_safe",),
    }
)
"""The verbs of each capability that scripts may call."""

# What a class must have beside its verbs: methods that only the daemon calls.
_UNSPOKEN: Mapping[str, tuple[str, ...]] = {
    "FrameProducer": ("frame_spec", "set_sink"),
    "SampleProducer": ("stream_specs", "run"),
}

LIMIT_QUANTITIES: Mapping[str, str] = MappingProxyType(
    {"Movable": "position", "ExposureControl": "exposure", "WavelengthTunable": "wavelength"}
)
"""The quantity of each capability that a rig's `limits` may bound."""


def capabilities_of(instrument: object) -> tuple[str, ...]:
    """The names of the capabilities that an instrument, or a class of instruments, has."""
    return tuple(
        name
        for name, verbs in VERBS.items()
        if all(callable(getattr(instrument, v, None)) for v in (*verbs, *_UNSPOKEN.get(name, ())))
    )


def verbs_of(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    """The verbs that scripts may call on something with these capabilities."""
    return tuple(verb for name in capabilities for verb in VERBS[name])
