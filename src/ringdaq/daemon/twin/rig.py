"""The twin of a rig: the same names, capabilities, units and limits, and nothing real behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ringdaq.config import InstrumentConfig, Rig
from ringdaq.daemon.instruments import InstrumentHost, scalar_streams
from ringdaq.daemon.twin.counts import Counts, Sink
from ringdaq.daemon.workers import Worker
from ringdaq.instruments import Registry, build_instruments, capabilities_of
from ringdaq.instruments.catalogue import Choice
from ringdaq.instruments.driver import Site
from ringdaq.instruments.sim import twin_camera
from ringdaq.instruments.sim.camera import SimulatedCamera
from ringdaq.instruments.sim.twin import Twin
from ringdaq.instruments.sim.virtual_time import VirtualTimer
from ringdaq.model import StreamSpec


@dataclass(frozen=True)
class Known:
    """What is known of a connected instrument without asking it."""

    unit: str = ""
    specs: Sequence[StreamSpec] = ()
    """Of the streams that it fills by itself."""


class NoAudit:
    """Nothing is commanded, so nothing is written down."""

    def note(self, *_: Any, **__: Any) -> None:
        """Forget it."""


class TwinRig:
    """Instruments that take virtual time, as hosts that a run may be given."""

    def __init__(self, rig: Rig, known: Mapping[str, Known]) -> None:
        self.rig = rig
        self.timer = VirtualTimer()
        self.counts = Counts()
        self.assumed: list[str] = []
        self._known = known
        self._registry: Registry = build_instruments(
            rig, timer=self.timer, substitute=self._substitute
        )
        self._link = Worker("twin")
        audit: Any = NoAudit()
        counts: Any = self.counts
        self.hosts = {
            entry.name: InstrumentHost(entry, self._link, counts, audit)
            for entry in self._registry.entries.values()
        }
        for host in self.hosts.values():
            self._count_streams(host)

    def _substitute(self, config: InstrumentConfig, choice: Choice) -> Choice:
        """A simulated instrument as it is, without faults; anything else by its capabilities."""
        driver, options = choice.driver, choice.options
        if driver.made_up is not True:
            known = self._known.get(config.name, Known())
            build = partial(_build_twin, config, driver.instrument, known)
            self._assume(config, driver.instrument)
            return Choice(replace(driver, build=build, made_up=True), options)
        if getattr(options, "mode", None) == "chaos":
            options = options.model_copy(update={"mode": "realistic"})
        if driver.instrument is SimulatedCamera:
            driver = twin_camera.DRIVER
        return Choice(driver, options)

    def _assume(self, config: InstrumentConfig, instrument: type) -> None:
        twin, said = config.twin, []
        for capability, words in (
            ("Movable", f"moves with {twin.velocity:g} a second"),
            ("Readable", f"takes {twin.reading_secs:g} s a reading, which is 0"),
            ("FrameProducer", f"makes frames of {twin.width} x {twin.height}"),
        ):
            if capability in capabilities_of(instrument):
                said.append(words)
        if said:
            self.assumed.append(f"{config.name} {', '.join(said)}; see [instrument.twin]")

    def _count_streams(self, host: InstrumentHost) -> None:
        entry, instrument = host.entry, host.entry.instrument
        if instrument is None:
            return
        self.counts.know(*scalar_streams(entry))
        if "FrameProducer" in entry.capabilities:
            spec = instrument.frame_spec()
            self.counts.know(spec)
            instrument.set_sink(Sink(self.counts, spec.name))
        if "SampleProducer" in entry.capabilities:
            specs = instrument.stream_specs()
            self.counts.know(*specs)
            if not specs:
                self.assumed.append(f"{host.name}: its samples are not counted")

    def after(self, seconds: float) -> None:
        """Count what came by itself in so long: samples, and readings of what is polled."""
        for host in self.hosts.values():
            if host.entry.instrument is None:
                continue
            for stream in host.streams:
                self.counts.rows[stream] += int(seconds * host.entry.config.poll_hz)
        for spec in self.counts.specs.values():
            if spec.sample_rate is not None:
                self.counts.rows[spec.name] += int(seconds * spec.sample_rate)

    def close(self) -> None:
        """Let go of threads."""
        for host in self.hosts.values():
            host.close()
        self._link.close()
        self._registry.close()


def _build_twin(
    config: InstrumentConfig, instrument: type, known: Known, site: Site, options: Any
) -> Twin:
    unit = known.unit or getattr(options, "unit", "") or _unit_of(instrument)
    capabilities = capabilities_of(instrument)
    return Twin(config, capabilities, unit=unit, specs=known.specs, timer=site.timer)


def _unit_of(instrument: type) -> str:
    unit = getattr(instrument, "position_unit", "") or getattr(instrument, "reading_unit", "")
    return unit if isinstance(unit, str) else ""
