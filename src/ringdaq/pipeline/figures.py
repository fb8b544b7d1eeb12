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

LOSSES = {
    "sources": ("refused",),
    "branches": ("lost_records",),
    "stages": ("dropped",),
    "queues": ("dropped_oldest", "dropped_newest", "refused"),
    "sinks": ("dropped",),
}
"""The counters of packets and records that led to no result."""


def _plain(names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
    return dict(zip(names, numbers, strict=True))


def figures_of(pipeline: core.Pipeline) -> dict[str, Any]:
    """The core's counters: `stages` (rings among them), `queues`, `pools`, `branches`."""
    stages, queues, pools, branches = pipeline.statistics()
    own = {name: dict(pipeline.gauges(name)) for name, *_ in stages}
    declared = {name: secs for name, secs, _ in pipeline.latency()}
    return {
        "isa": pipeline.isa,
        "stages": {
            name: _plain(STAGE, counts)
            | {"duration": _plain(DURATION, times), "own": own.get(name, {}), "error": error}
            for name, counts, times, error in stages
        },
        "queues": {name: _plain(QUEUE, counts) for name, counts in queues},
        "pools": {name: _plain(POOL, counts) for name, counts in pools},
        "branches": {
            name: _plain(BRANCH, counts)
            | {
                "state": state,
                "latency": _plain(DURATION, times) | {"declared_secs": declared[name]},
                "error": error,
            }
            for name, state, counts, times, error in branches
        },
    }


def lost_samples(figures: Mapping[str, Any]) -> int:
    """Samples that did not reach the pipeline, as far as sources and rings know."""
    sources, branches = figures["sources"].values(), figures["branches"].values()
    lost = sum(int(one.get("lost_samples", 0)) for one in sources)
    return lost + sum(int(one["lost_rows"]) for one in branches)


def lost_packets(figures: Mapping[str, Any]) -> int:
    """Packets and records that came in, or should have, and led to no result."""
    return sum(
        int(one[counter])
        for part, counters in LOSSES.items()
        for one in figures.get(part, {}).values()
        for counter in counters
    )
