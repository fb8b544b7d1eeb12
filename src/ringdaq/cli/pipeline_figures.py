"""What a pipeline has counted, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ringdaq.cli.output import data, say, table

Figures = Mapping[str, Any]
STAGES = ("stage", "packets", "errors", "bypassed", "dropped", "restarts", "p50", "p99", "longest")
QUEUES = ("queue", "capacity", "waiting", "sent", "received", "dropped", "refused")
BRANCHES = ("branch", "state", "packets", "lost", "p50", "p99", "longest")
MISSED = {
    "lost": "triggers without an epoch",
    "missing_first": "rows of the first input without a partner",
    "missing_second": "rows of the second input without a partner",
    "cut_samples": "samples before a gap, too few for a spectrum",
}
"""What stages count themselves of things that led to no result."""
ENDS = ("source or sink", "state", "packets", "errors", "dropped", "restarts")


def show(figures: Figures) -> None:
    """Print all tables, and each error once."""
    for names, rows in (
        (BRANCHES, _branches(figures)),
        (STAGES, _stages(figures)),
        (QUEUES, _queues(figures)),
        (ENDS, _ends(figures)),
    ):
        if rows:
            data(table(names, rows))
            data("")
    for note in missed(figures):
        say(f"note: {note}")
    for error in errors(figures):
        say(f"error: {error}")


def progress(figures: Figures) -> str:
    """A line on how far a pipeline is."""
    packets = sum(one["packets"] for one in figures["branches"].values())
    latencies = [one["latency"]["p99_nanos"] for one in figures["branches"].values()]
    slowest = f", p99 {micros(max(latencies))}" if latencies else ""
    secs, samples = figures["uptime_secs"], figures["lost_samples"]
    missing = f", {samples} samples missing" if samples else ""
    return f"{secs:.0f} s: {packets} packets{slowest}, {figures['lost']} lost{missing}"


def missed(figures: Figures) -> list[str]:
    """What came to a stage and led to no result there, though no packet was lost."""
    return [
        f"{name}: {count:.0f} {words}"
        for name, stage in figures["stages"].items()
        for key, words in MISSED.items()
        if (count := stage["own"].get(key, 0))
    ]


def errors(figures: Figures) -> list[str]:
    """What went wrong, each thing once."""
    parts = ("branches", "stages", "sources", "sinks")
    found = [(name, one["error"]) for part in parts for name, one in figures[part].items()]
    return list(dict.fromkeys(f"{name}: {error}" for name, error in found if error))


def micros(nanos: int) -> str:
    """A duration in microseconds."""
    return f"{nanos / 1000:.1f} µs"


def _durations(one: Figures) -> Sequence[str]:
    return [micros(one[key]) for key in ("p50_nanos", "p99_nanos", "longest_nanos")]


def _branches(figures: Figures) -> list[list[object]]:
    return [
        [name, one["state"], one["packets"], one["lost_records"], *_durations(one["latency"])]
        for name, one in figures["branches"].items()
    ]


def _stages(figures: Figures) -> list[list[object]]:
    counts = ("packets", "errors", "bypassed", "dropped", "restarts")
    return [
        [name, *(one[count] for count in counts), *_durations(one["duration"])]
        for name, one in figures["stages"].items()
    ]


def _queues(figures: Figures) -> list[list[object]]:
    counts = ("capacity", "waiting", "sent", "received")
    return [
        [
            name,
            *(one[count] for count in counts),
            one["dropped_oldest"] + one["dropped_newest"],
            one["refused"],
        ]
        for name, one in figures["queues"].items()
    ]


def _ends(figures: Figures) -> list[list[object]]:
    sources = [
        [name, one["state"], one["blocks"], None, one["refused"], None]
        for name, one in figures["sources"].items()
    ]
    sinks = [
        [name, *(one[key] for key in ("state", "packets", "errors", "dropped", "restarts"))]
        for name, one in figures["sinks"].items()
    ]
    return sources + sinks
