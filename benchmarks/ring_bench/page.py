"""The page about speed, written by the run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.measure import machine, number
from benchmarks.ring_bench.figure import Figure
from benchmarks.ring_bench.peers import PEERS, SIZES, Result

PAGE = Path(__file__).parents[2] / "docs" / "explanations" / "benchmarks.md"
HEAD = """\
# How fast the ring is

Written by `make bench-ring`; the numbers are those of its last run.
Each figure stands beside its limit, which was measured in the same run: a small C program that does only what cannot be avoided (`benchmarks/limits/`).
All are medians of short rounds, in which ours and its limit are measured in turn.
On a machine that others use too, only the ratios mean something.
"""  # noqa: E501
PEERS_HEAD = """\
## Beside others

The same messages between two Python processes on one machine.
The publisher owns an array, stamps it and hands it over; the subscriber gets a buffer and looks at its first and last bytes.
The delay is taken at a steady pace, with both sides asleep between messages; the rate is counted at the subscriber while the publisher floods.
The others wait for their subscriber; ringdaq and LSL never do.
LSL is given no more messages than its buffer holds, and so is ringdaq where they are of 64 B; where a flood of larger ones laps the reader, the share of messages that were seen is given.
All copy the publisher's array at least once; iceoryx2 and zenoh into memory that they lend, ringdaq into its ring, which was filled once before, as a ring in use is.
ringdaq's subscriber copies small messages that came meanwhile out of the ring in one call, and looks at others where they lie.
"""  # noqa: E501
READING = """\
## How to read it

Above some ten kilobytes, whatever copies once is bound by memory, and all that share memory are close to each other; what is left to win is not to copy at all, which `loan` does.
Waking a process that sleeps on another core costs tens of microseconds whoever does it.
What writer and reader do in Python comes on top, some microseconds with caches gone cold: the quicker a machine wakes, the larger the ratio of `wake`.
Several sleeping readers are woken together at most every 0.8 ms (one alone at once, for every record): `sleepers_8` shows what the writer gains, and `readers_delay_us` beside it what the readers pay.
The rows of `wake` come from an appender of single rows, which stamps them, as the C program does; `stamped_in_python` are those of `StreamWriter.append`, whose time Python takes before the call.
Its ratios are medians of the rounds' own, as within a minute the machine's own wake-up swings by more than writer and reader add to it.
`wake` pins writer and reader, and the two ends of its limit, to different cores: on a core of their own both take less, and would hide what the hand-over costs.
A row that is committed by itself costs a record; an appender commits rows that follow quickly together, and the first one after a pause at once.
"""  # noqa: E501


def versions(results: Sequence[Result]) -> str:
    """What was measured, in one line."""
    known = {r.peer: r.version for r in results if r.version and r.peer != "multiprocessing"}
    own = [f"{name} {metadata.version(name)}" for name in ("numpy", "pyarrow")]
    return ", ".join([*(f"{peer} {version}" for peer, version in known.items()), *own])


def surroundings() -> list[str]:
    """The machine, line by line."""
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = machine()
    return [
        f"{found['cpu']}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB",
        found["system"],
        f"Python {found['python']}, {(compiler.stdout.splitlines() or ['no cc'])[0]}",
        f"load of the machine before the run: {os.getloadavg()[0]:.2f}",
    ]


def figures_table(figures: Sequence[Figure]) -> list[str]:
    """The first table."""
    lines = [
        "| id | what | figure | limit | ratio | goal | reached |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures:
        value, limit = f"{number(f.value)} {f.unit}", f"{number(f.limit)} {f.unit}, {f.limit_is}"
        reached = "yes" if f.met else "no"
        lines.append(
            f"| `{f.id}` | {f.what} | {value} | {limit} | {number(f.ratio)} "
            f"| {f.must_reach} | {reached} |"
        )
    return lines


def more_table(figures: Sequence[Figure]) -> list[str]:
    """What else was measured with them."""
    lines = ["| id | also measured |", "| --- | --- |"]
    for f in figures:
        named = [*f.more.items(), *((f"{peer} ({f.unit})", v) for peer, v in f.peers.items())]
        if named:
            lines.append(f"| `{f.id}` | {', '.join(f'{n}: {number(v)}' for n, v in named)} |")
    return lines


def peers_table(results: Sequence[Result]) -> list[str]:
    """The second table."""
    titles = [f"{size} delay, p50 / p99 | {size} rate" for size in SIZES.values()]
    lines = [f"| | {' | '.join(titles)} |", "| --- |" + " --- |" * 2 * len(SIZES)]
    for peer, title in PEERS.items():
        cells = [_cells(r) for r in results if r.peer == peer]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _cells(result: Result) -> str:
    if result.missing:
        return "– | –"
    found = result.found
    kept = "" if found["kept"] > 0.995 else f" ({found['kept']:.0%} seen)"
    rate = f"{number(found['per_sec'])}/s, {_bytes(found['per_sec'] * result.size)}{kept}"
    return f"{number(found['p50_us'])} / {number(found['p99_us'])} µs | {rate}"


def _bytes(rate: float) -> str:
    return f"{rate / 1e9:.2f} GB/s" if rate >= 1e9 else f"{rate / 1e6:.3g} MB/s"


def missing(results: Sequence[Result]) -> list[str]:
    """Who could not be measured, and why."""
    said = {
        f"- {PEERS[r.peer]}, {SIZES[r.size]}: {r.missing.strip().rstrip('.')}."
        for r in results
        if r.missing
    }
    return ["", "Not measured:", "", *sorted(said)] if said else []


def write(figures: Sequence[Figure], results: Sequence[Result], where: list[str]) -> Path:
    """Write the page; returns its path."""
    parts = [HEAD, *(f"- {line}" for line in where), f"- {versions(results)}", ""]
    parts += ["## The figures", "", *figures_table(figures), "", *more_table(figures), ""]
    parts += [PEERS_HEAD, *peers_table(results), *missing(results), "", READING]
    PAGE.write_text("\n".join(parts))
    return PAGE
