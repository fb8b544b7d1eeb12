"""How large the rings of a rig are, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ringdaq.config import Rig
from ringdaq.errors import RingSpaceError
from ringdaq.model import StreamSpec
from ringdaq.streams import file_bytes, record_bytes

DEFAULT_MINUTES = 5.0
FRAMES_IN_RING = 32
LEAST_BYTES = 1 << 20
BLOCK_SECS = 0.025
"""How long a block of samples is taken to be; shorter ones cost more frames."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class RingPlan:
    """One ring to be made."""

    stream: str
    capacity_bytes: int
    file_bytes: int
    """With the header and the index."""
    rows_per_sec: float | None
    """As the stream itself or the rig file says; `None` where neither does."""
    bytes_per_sec: float | None
    """Frames and padding included; each row of a scalar stream is taken as a record."""

    @property
    def full_secs(self) -> float | None:
        """How long it reaches back once it is full."""
        return self.capacity_bytes / self.bytes_per_sec if self.bytes_per_sec else None


def plan(spec: StreamSpec, rig: Rig) -> RingPlan:
    """The ring of a stream: as the rig file says, else minutes of samples or dozens of frames."""
    asked = rig.streams.get(spec.name)
    rows = None if spec.sample_rate is None else float(spec.sample_rate)
    if rows is None and asked is not None:
        rows = asked.rate_hz
    rate = None if rows is None else _bytes_per_sec(spec, rows)
    if asked is not None:
        capacity = asked.capacity_for(rate)
    elif rate is not None:
        capacity = max(LEAST_BYTES, int(rate * 60 * DEFAULT_MINUTES))
    elif spec.kind == "frames":
        capacity = max(LEAST_BYTES, FRAMES_IN_RING * record_bytes(spec))
    else:
        capacity = rig.daemon.ring_capacity_bytes
    return RingPlan(spec.name, capacity, file_bytes(spec, capacity), rows, rate)


def _bytes_per_sec(spec: StreamSpec, rows_per_sec: float) -> float:
    rows = max(1, int(rows_per_sec * BLOCK_SECS)) if spec.kind == "samples" else 1
    return record_bytes(spec, rows) * rows_per_sec / rows


def largest(plans: Iterable[RingPlan]) -> str:
    """The largest rings in words."""
    found = sorted(plans, key=lambda one: -one.file_bytes)
    named = [f"{one.stream} {one.file_bytes}" for one in found[:_MOST_NAMED]]
    return ", ".join([*named, f"{len(found) - _MOST_NAMED} more"][: len(found)])


def check_limit(plans: list[RingPlan], rig: Rig) -> None:
    """Refuse rings that take more together than the rig file allows."""
    limit, wanted = rig.daemon.ring_limit_bytes, sum(one.file_bytes for one in plans)
    if limit is not None and wanted > limit:
        raise RingSpaceError(
            f"the rings need {wanted} bytes ({largest(plans)}); 'daemon.ring_limit_bytes' allows "
            f"{limit}. Make them smaller, or raise it: {rig.path}"
        )
