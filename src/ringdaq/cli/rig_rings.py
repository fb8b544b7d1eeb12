"""The rings that a rig file asks for, as far as that is known without connecting instruments."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringdaq.config import Rig
    from ringdaq.daemon.sizing import RingPlan
    from ringdaq.model import StreamSpec

RINGS = Path("/dev/shm")


@dataclass(frozen=True)
class PlannedStream:
    """A stream of a rig, its rate and its ring."""

    spec: StreamSpec
    rows_per_sec: float | None
    """At most, while everything runs; `None` where nobody knows."""
    ring: RingPlan


@dataclass(frozen=True)
class PlannedRings:
    """The streams of a rig's simulated instruments."""

    streams: tuple[PlannedStream, ...]
    not_counted: tuple[str, ...]
    """Instruments that would have to be connected to know their streams."""

    @property
    def file_bytes(self) -> int:
        """All rings together."""
        return sum(stream.ring.file_bytes for stream in self.streams)


def rings_of(rig: Rig) -> PlannedRings:
    """Make the instruments of a rig that need nothing outside, and ask them."""
    from ringdaq.config.rig import MAKES_THINGS_UP
    from ringdaq.instruments import build_instruments

    asked = [i for i in rig.instruments if i.driver.startswith(MAKES_THINGS_UP)]
    registry = build_instruments(rig.model_copy(update={"instruments": asked}))
    try:
        entries = registry.entries.values()
        streams = [stream for entry in entries for stream in _streams(entry, rig)]
    finally:
        registry.close()
    return PlannedRings(tuple(streams), tuple(i.name for i in rig.instruments if i not in asked))


def _streams(entry: Any, rig: Rig) -> list[PlannedStream]:
    from ringdaq.daemon.instruments import scalar_streams
    from ringdaq.daemon.sizing import plan

    instrument, found = entry.instrument, [(s, entry.config.poll_hz) for s in scalar_streams(entry)]
    if "FrameProducer" in entry.capabilities:
        exposes = "ExposureControl" in entry.capabilities
        # A camera cannot be quicker than its exposure.
        found.append((instrument.frame_spec(), 1 / instrument.get_exposure() if exposes else None))
    if "SampleProducer" in entry.capabilities:
        found.extend((spec, float(spec.sample_rate or 0)) for spec in instrument.stream_specs())
    return [PlannedStream(spec, rate, plan(spec, rig)) for spec, rate in found]


def place_of(rig: Rig) -> Path:
    """Where a rig's rings lie; its nearest folder if that is not made yet."""
    named = rig.daemon.ring_directory
    path = RINGS if named is None else rig.resolve(named)
    return next((p for p in (path, *path.parents) if p.is_dir()), RINGS)


def free_bytes(path: Path) -> int:
    """Room for rings."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def mib(count: float) -> str:
    """Bytes as MiB, for people."""
    return f"{count / 2**20:,.1f} MiB" if count < 100 * 2**20 else f"{count / 2**20:,.0f} MiB"


def duration(secs: float | None) -> str:
    """A length of time for people."""
    if secs is None:
        return "-"
    if secs < 120:
        return f"{secs:.3g} s"
    return f"{secs / 60:.3g} min" if secs < 7200 else f"{secs / 3600:.3g} h"
