"""The page about the pipeline's speed, written by the run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import ringdaq_core as core

from benchmarks.measure import number
from benchmarks.pipeline.figure import Figure
from benchmarks.pipeline.peers import Installed

PAGE = Path(__file__).parents[2] / "docs" / "explanations" / "pipeline-benchmarks.md"
HEAD = """\
# How fast the pipeline is

Written by `make bench-pipeline`; the numbers are those of its last run.
Packets are 32 channels of 400 samples at 4 kSPS.
The chain makes volts of counts, filters them with a band-pass from 1 to 40 Hz and a notch at 50 Hz (five second-order sections), transforms them (rFFT of 512), and publishes the spectrum in a ring.
All figures are medians of rounds in which ours and its limit are measured in turn.
On a machine that others use too, only the ratios mean something.
"""  # noqa: E501
READING = """\
## How to read it

`ratio` is the one that the goal speaks of, and where it speaks of none, the figure divided by its limit.
`throughput` and `cpu` count all packets of a stretch, the slow ones too; the others are medians over packets.
`cpu` is far above its limit because ten packets a second find a thread asleep and the caches cold; what is left is mostly the wake-up.
`layout` is the reason for `[sample][channel]`: both loops are the simplest there are.
`sample_to_subscriber_us` begins with the first sample of a packet, which waits for the three others, and ends in a reader of the result's ring, two wake-ups later.
BrainFlow keeps no state from packet to packet and transforms channel by channel.
"""  # noqa: E501


def versions(others: Installed) -> str:
    """What was measured, in one line."""
    own = [f"{name} {metadata.version(name)}" for name in ("ringdaq", "numpy", "scipy", "numba")]
    return ", ".join([*own, *(f"{name} {found}" for name, found in others.versions.items())])


def kernels() -> str:
    """What the core's kernels ran on."""
    best, *rest = core.instruction_sets()
    return f"kernels chosen at run time: {best}" + (
        f" (also there: {', '.join(rest)})" * bool(rest)
    )


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures."""
    lines = [
        "| id | what | figure | limit | ratio | goal | reached |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures:
        limit = "" if f.limit is None else f"{shown(f.limit, f.unit)}, {f.limit_is}"
        ratio = "" if f.ratio is None else number(f.ratio)
        reached = {True: "yes", False: "no", None: ""}[f.met]
        value = shown(f.value, f.unit)
        lines.append(
            f"| `{f.id}` | {f.what} | {value} | {limit} | {ratio} | {f.must_reach} | {reached} |"
        )
    return lines


def shown(value: float, unit: str) -> str:
    """A figure with its unit; large rates in millions."""
    if value >= 1e6:
        return f"{number(value / 1e6)} million {unit}"
    return number(value) if unit == "1" else f"{number(value)} {unit}"


def beside(figures: Sequence[Figure]) -> list[str]:
    """Peers and what else was measured."""
    lines = ["| id | peers | also measured |", "| --- | --- | --- |"]
    for f in figures:
        peers = ", ".join(f"{name}: {shown(value, f.unit)}" for name, value in f.peers.items())
        more = ", ".join(f"{name}: {number(value)}" for name, value in f.more.items())
        if peers or more:
            lines.append(f"| `{f.id}` | {peers} | {more} |")
    return lines


def missing(others: Installed) -> list[str]:
    """Who could not be measured, and why."""
    said = [f"- {name}: {reason.rstrip('.')}." for name, reason in others.missing.items()]
    return ["Not measured:", "", *said, ""] if said else []


def write(figures: Sequence[Figure], others: Installed, where: Sequence[str]) -> Path:
    """Write the page; returns its path."""
    parts = [HEAD, *(f"- {line}" for line in where), f"- {kernels()}", f"- {versions(others)}", ""]
    parts += ["## The figures", "", *table(figures), "", *beside(figures), "", *missing(others)]
    PAGE.write_text("\n".join([*parts, READING]))
    return PAGE
