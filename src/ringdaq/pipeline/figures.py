"""What a running pipeline counts, as plain values by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ringdaq_core as core

STAGE = ("packets", "errors", "bypassed", "dropped", "restarts", "triggers", "lost_triggers")
QUEUE = (
    "capacity", "waiting", "sent", "received",
    "dropped_oldest", "dropped_newest", "refused", "waits",
)  # fmt: skip
POOL = ("packets", "lent", "peak", "lent_ever", "exhausted")
BRANCH = ("packets", "beat_nanos", "lost_records", "lost_rows", "exhausted")
DURATION = ("p50_nanos", "p99_nanos", "longest_nanos", "sum_nanos")

Named = dict[str, dict[str, Any]]


def _plain(names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
    return dict(zip(names, numbers, strict=True))


def figures_of(pipeline: core.Pipeline) -> dict[str, Any]:
    """The core's counters: `stages` (rings among them), `queues`, `pools`, `branches`."""
    stages, queues, pools, branches = pipeline.statistics()
    return {
        "isa": pipeline.isa,
        "stages": {
            name: _plain(STAGE, counts) | {"duration": _plain(DURATION, times), "error": error}
            for name, counts, times, error in stages
        },
        "queues": {name: _plain(QUEUE, counts) for name, counts in queues},
        "pools": {name: _plain(POOL, counts) for name, counts in pools},
        "branches": {
            name: _plain(BRANCH, counts)
            | {"state": state, "latency": _plain(DURATION, times), "error": error}
            for name, state, counts, times, error in branches
        },
    }


def lost_packets(figures: Mapping[str, Any]) -> int:
    """Packets and records that came in, or should have, and led to no result."""
    stages, queues = figures["stages"].values(), figures["queues"].values()
    return (
        sum(one["dropped"] for one in stages)
        + sum(one["dropped_oldest"] + one["dropped_newest"] + one["refused"] for one in queues)
        + sum(one["lost_records"] for one in figures["branches"].values())
        + sum(one["dropped"] for one in figures.get("sinks", {}).values())
        + sum(one["refused"] for one in figures.get("sources", {}).values())
    )
