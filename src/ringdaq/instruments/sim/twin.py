"""Stands in for an instrument that is not simulated, by its capabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

from ringdaq.config import InstrumentConfig, TwinConfig
from ringdaq.instruments.capabilities import VERBS, Settings
from ringdaq.instruments.sim.camera import CameraOptions
from ringdaq.instruments.sim.stage import SimulatedStage, StageOptions
from ringdaq.instruments.sim.twin_camera import TwinCamera
from ringdaq.instruments.timing import Pause, Timer
from ringdaq.model import StreamSpec

FAR = 1e12
"""How far an axis goes that has no limits."""


class _Meter:
    def __init__(self, config: TwinConfig, timer: Timer) -> None:
        self._secs, self._pause = config.reading_secs, Pause(timer)

    def read(self) -> float:
        self._pause.sleep(self._secs)
        return 0.0


class _Switch:
    """Anything that is on or off, and a wavelength."""

    def __init__(self, wavelengths: tuple[float, float]) -> None:
        self._shutter = self._emission = False
        self._wavelengths = wavelengths
        self._wavelength = wavelengths[0]

    def open_shutter(self) -> None:
        self._shutter = True

    def close_shutter(self) -> None:
        self._shutter = False

    def is_shutter_open(self) -> bool:
        return self._shutter

    def enable_emission(self) -> None:
        self._emission = True

    def disable_emission(self) -> None:
        self._emission = False

    def is_emission_enabled(self) -> bool:
        return self._emission

    def set_wavelength(self, nanometres: float) -> None:
        self._wavelength = nanometres

    def get_wavelength(self) -> float:
        return self._wavelength

    def wavelength_range(self) -> tuple[float, float]:
        return self._wavelengths


class Twin:
    """Has the verbs of the capabilities it is made with; readings are 0, knobs take anything."""

    def __init__(
        self,
        config: InstrumentConfig,
        capabilities: Sequence[str],
        *,
        unit: str,
        specs: Sequence[StreamSpec],
        timer: Timer,
    ) -> None:
        self.name = config.name
        self.position_unit = self.reading_unit = unit
        self._specs = list(specs)
        self._knobs: dict[str, Any] = {}
        self._stage: SimulatedStage | None = None
        parts: list[object] = [
            self,
            _Meter(config.twin, timer),
            _Switch(config.limits.get("wavelength", (0.0, FAR))),
            _camera(config, timer),
        ]
        if "Movable" in capabilities:
            self._stage = _stage(config, unit, timer)
            parts.append(self._stage)
        hidden = {"FrameProducer": ("frame_spec", "set_sink"), "SampleProducer": ("run",)}
        for capability in capabilities:
            for verb in (*VERBS[capability], *hidden.get(capability, ())):
                part = next(p for p in parts if hasattr(p, verb))
                setattr(self, verb, getattr(part, verb))
        if "SampleProducer" in capabilities:
            self.stream_specs = lambda: self._specs
        self._parts = parts[1:]

    def settings(self) -> Settings:
        """What a script has set."""
        own = self._stage.settings() if self._stage is not None else {}
        return {**own, **{k: {"value": v, "unit": ""} for k, v in self._knobs.items()}}

    def configure(self, **knobs: Any) -> None:
        """Keep the knobs; those that tell how an axis moves count."""
        speeds = {k: v for k, v in knobs.items() if k in ("velocity", "acceleration")}
        if self._stage is not None and speeds:
            self._stage.configure(**speeds)
        self._knobs.update(knobs)

    def run(self, sinks: Mapping[str, Any], stop: Any) -> None:
        """Its samples are counted by the clock."""

    def stage(self) -> None:
        """Nothing to get ready."""

    def unstage(self) -> None:
        """Nothing to put back."""

    def make_safe(self) -> None:
        """Come to rest."""
        for part in self._parts:
            calm = getattr(part, "make_safe", None)
            if calm is not None:
                calm()


def _stage(config: InstrumentConfig, unit: str, timer: Timer) -> SimulatedStage:
    low, high = config.limits.get("position", (-FAR, FAR))
    options = StageOptions(
        unit=unit,
        velocity=config.twin.velocity,
        acceleration=config.twin.acceleration,
        settle_secs=config.twin.settle_secs,
        travel=(low, high),
        initial=min(max(0.0, low), high),
        resolution=1e-9,
    )
    return SimulatedStage(config.name, options, timer)


def _camera(config: InstrumentConfig, timer: Timer) -> TwinCamera:
    twin = config.twin
    options = CameraOptions(
        width=twin.width,
        height=twin.height,
        exposure=twin.exposure,
        readout_secs=twin.readout_secs,
    )
    return TwinCamera(config.name, options, None, timer)
