"""What a rig needs of a machine, and whether the machine has it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringdaq.cli.bench_measures import Machine
    from ringdaq.model import StreamSpec

RECORD_OVERHEAD = 1.1
"""Bytes on disk for each byte of data: the journal's entries and the file's structure."""
COPIES_ON_DISK = 2
"""What is recorded is written to the journal and to the file."""


@dataclass(frozen=True)
class Need:
    """What comes from a rig's instruments when all of them run."""

    rows_per_sec: float
    """Of scalar streams: each of their rows is a call."""
    bytes_per_sec: float
    """Of all streams."""
    rings_bytes: int
    not_counted: tuple[str, ...]
    """Instruments whose rate is not known without connecting them."""


@dataclass(frozen=True)
class Verdict:
    """One comparison."""

    enough: bool
    text: str


def need_of(path: Path) -> Need:
    """Add up a rig file's streams; only simulated instruments are made."""
    from ringdaq.config import load_rig
    from ringdaq.daemon.instruments import scalar_streams
    from ringdaq.daemon.publish import ring_bytes, row_bytes
    from ringdaq.instruments import build_instruments

    rig = load_rig(path)
    made = rig.model_copy(update={"instruments": [i for i in rig.instruments if i.simulated]})
    unknown = [i.name for i in rig.instruments if not i.simulated]
    polled = sum(i.poll_hz for i in rig.instruments)
    rate, rings = polled * 16.0, 0
    registry = build_instruments(made)
    try:
        for entry in registry.entries.values():
            rings += sum(ring_bytes(spec, rig) for spec in scalar_streams(entry))
            for spec, rows in _streams(entry.instrument):
                rings += ring_bytes(spec, rig)
                if rows is None:
                    unknown.append(entry.name)
                else:
                    rate += rows * row_bytes(spec)
    finally:
        registry.close()
    return Need(polled, rate, rings, tuple(unknown))


def _streams(instrument: Any) -> list[tuple[StreamSpec, float | None]]:
    """The streams of an instrument, each with its rows a second, `None` where nobody knows."""
    from ringdaq.instruments import capabilities_of

    found: list[tuple[StreamSpec, float | None]] = []
    capabilities = capabilities_of(instrument)
    if "FrameProducer" in capabilities:
        exposes = "ExposureControl" in capabilities
        # A camera cannot be quicker than its exposure.
        found.append((instrument.frame_spec(), 1 / instrument.get_exposure() if exposes else None))
    if "SampleProducer" in capabilities:
        found.extend((spec, float(spec.sample_rate or 0)) for spec in instrument.stream_specs())
    return found


def judge(need: Need, found: Machine, rings: Path) -> list[Verdict]:
    """Compare, one line each."""
    status = os.statvfs(rings)
    free = status.f_bavail * status.f_frsize
    disk = need.bytes_per_sec * RECORD_OVERHEAD * COPIES_ON_DISK
    return [
        Verdict(
            need.bytes_per_sec <= found.ring_bytes_per_sec,
            f"this rig needs {_mb(need.bytes_per_sec)} MB/s into rings, "
            f"this machine does {_mb(found.ring_bytes_per_sec)}",
        ),
        Verdict(
            need.rows_per_sec <= found.rows_per_sec,
            f"this rig needs {need.rows_per_sec:,.0f} single rows/s, "
            f"this machine does {found.rows_per_sec:,.0f}",
        ),
        Verdict(
            disk <= found.disk_bytes_per_sec,
            f"recording all of it needs {_mb(disk)} MB/s on disk, "
            f"this machine does {_mb(found.disk_bytes_per_sec)}",
        ),
        Verdict(
            need.rings_bytes <= free,
            f"its rings need {need.rings_bytes / 2**20:,.0f} MiB, "
            f"{free / 2**20:,.0f} are free: {rings}",
        ),
    ]


def _mb(number: float) -> str:
    return f"{number / 1e6:.3g}" if number < 1e8 else f"{number / 1e6:,.0f}"
