"""What a stage costs that is written in Python, compiled or not, and what it allocates."""

from __future__ import annotations

import os
import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pipeline import peers
from benchmarks.pipeline.figure import Figure
from benchmarks.pipeline.work import CHANNELS, RATE, RAW, SAMPLES, SCALE, chain, micros, timed
from benchmarks.ring_bench.figure import Effort, rounds
from ringdaq import native_stage
from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat

ROOT = Path(__file__).parents[2]
SECTION = [0.2, 0.3, 0.1, 1.0, -0.5, 0.3]


def measure(effort: Effort, packets: int, others: peers.Installed) -> list[Figure]:
    """Numba, Python, and the allocator where packets are counted."""
    found = [numba_stage(effort), python_stage(effort, others)]
    return found + ([allocations(packets)] if packets else [])


@native_stage(state=(2, "channels"), fastmath=True)
def section(  # type: ignore[no-untyped-def]
    inp, out, state, b0=0.2, b1=0.3, b2=0.1, a1=-0.5, a2=0.3
):
    """One section in doubles, as a scientist writes it."""
    for row in range(inp.shape[0]):
        for channel in range(inp.shape[1]):
            x = inp[row, channel]
            y = b0 * x + state[0, channel]
            state[0, channel] = b1 * x - a1 * y + state[1, channel]
            state[1, channel] = b2 * x - a2 * y
            out[row, channel] = y


def numba_stage(effort: Effort) -> Figure:
    """One general section in doubles, in Numba and in the core."""
    block = (RAW * SCALE).astype(np.float32)
    channels = tuple(Channel(f"c{n}", "float32") for n in range(CHANNELS))
    given = PacketFormat("voltage", channels, SAMPLES, Fraction(RATE))
    ours = chain(("native", section.core_parameters({}, given)), kind="voltage")
    core = chain(("sos", {"sos": SECTION}), kind="voltage")
    count = effort.count(4_000)

    def one_round() -> list[float]:
        times = [micros(made, block, count)[0] for made in (ours, core)]
        return [*times, times[0] / times[1]]

    value, limit, ratio = rounds(effort, one_round)
    return Figure(
        "numba_stage",
        "a stage written in Python and compiled by Numba: one section in doubles",
        value,
        "us",
        "≤ 1.3 × the same in Rust",
        ratio <= 1.3,
        limit,
        "the core's own stage",
        ratio,
    )


def python_stage(effort: Effort, others: peers.Installed) -> Figure:
    """A plugin that does nothing, and one that makes an array of its packet."""
    count = effort.count(4_000)
    stages: list[Any] = [
        ("pass", {}),
        ("python", {"call": lambda _: None}),
        ("python", {"call": np.asarray}),
    ]
    made = [chain(stage) for stage in stages]

    def one_round() -> list[float]:
        nothing, call, view = (micros(one, RAW, count)[0] for one in made)
        return [call - nothing, view - nothing, timed(lambda: None, count)]

    call, view, bare = rounds(effort, one_round)
    return Figure(
        "python_stage",
        "a plugin in Python, without its own work",
        call,
        "us",
        "≤ 10 µs",
        view <= 10,
        bare,
        "a call of nothing from Python, with the clock",
        peers=others.figure("ezmsg", "hop_us", "ezmsg, a hop"),
        more={"with_view_us": view},
    )


def allocations(packets: int) -> Figure:
    """Calls of the allocator after the first packets, by a counting one."""
    words = ["cargo", "test", "--release", "--locked", "--test", "pipeline_allocations"]
    command = [*words, "--manifest-path", str(ROOT / "core/Cargo.toml"), "--", "--nocapture"]
    environment = os.environ | {"RINGDAQ_PACKETS": str(packets)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    match = re.search(r"(\d+) calls of the allocator over (\d+) packets", done.stdout)
    if match is None:
        raise RuntimeError(f"the counting test must tell its count; found: {done.stderr[-2000:]}")
    calls = int(match[1])
    more = {"packets": float(match[2])}
    what = "calls of the allocator over 1 000 000 packets, warm"
    limit_is = "nothing to allocate"
    return Figure("allocations", what, calls, "1", "0", calls == 0, 0, limit_is, more=more)
