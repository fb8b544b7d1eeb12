"""What a rig needs of a machine, and whether the machine has it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.cli.bench_measures import Machine
    from ringdaq.config import Rig

RECORD_OVERHEAD = 1.1
"""Bytes on disk for each byte of data: the journal's entries and the file's structure."""
COPIES_ON_DISK = 2
"""What is recorded is written to the journal and to the file."""

POLLED_BYTES = 16.0
"""Of a polled row: its time and its value."""


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


def need_of(rig: Rig) -> Need:
    """Add up a rig's streams; only simulated instruments are made."""
    from ringdaq.cli.rig_rings import rings_of
    from ringdaq.daemon.publish import row_bytes

    planned = rings_of(rig)
    polled = sum(i.poll_hz for i in rig.instruments)
    rate, unknown = polled * POLLED_BYTES, list(planned.not_counted)
    for stream in planned.streams:
        if stream.rows_per_sec is None:
            unknown.append(stream.spec.instrument or stream.spec.name)
        elif stream.spec.kind != "rows":
            rate += stream.rows_per_sec * row_bytes(stream.spec)
    return Need(polled, rate, planned.file_bytes, tuple(unknown))


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
