"""What the core computes for a packet, beside C and others."""

from __future__ import annotations

import time
from pathlib import Path

import ringdaq_core as core

from benchmarks.measure import quantile
from benchmarks.pipeline import peers
from benchmarks.pipeline.figure import Figure
from benchmarks.pipeline.limits import Limits
from benchmarks.pipeline.work import (
    CHANNELS,
    FFT,
    RAW,
    SAMPLES,
    VOLTS,
    Scipy,
    chain,
    micros,
    sos,
    spectra,
    timed,
)
from benchmarks.ring_bench.figure import Effort, rounds

STRETCH, SCIPY_STRETCH = 50, 5
"""Packets timed together: a millisecond of either, so that both meet the same interruptions."""
IN_C = "the same by hand in C for this machine"


def measure(
    directory: Path, limits: Limits, effort: Effort, others: peers.Installed
) -> list[Figure]:
    """Chain, filter, layout, pass-through, throughput."""
    return [
        *chains(directory, limits, effort, others),
        *filters(limits, effort, others),
        layout(limits, effort),
        pass_through(effort),
        throughput(directory, effort),
    ]


def chains(
    directory: Path, limits: Limits, effort: Effort, others: peers.Installed
) -> list[Figure]:
    """The whole chain, its state in doubles and in floats."""
    count = effort.count(4_000)
    made = {
        state: chain(VOLTS, sos(state), FFT, ring=spectra(directory, f"chain_{state}"))
        for state in ("f64", "f32")
    }

    def one_round() -> list[float]:
        c = limits.measure()
        ours = [micros(made[state], RAW, count) for state in ("f64", "f32")]
        scipy = timed(Scipy().chain, count // 10)
        return [*ours[0], *ours[1], *c["chain"], *c["chain_f32"], scipy]

    p50, p99, fast, fast_p99, c50, c99, c_fast, c_fast_p99, scipy = rounds(effort, one_round)
    threads = peers.empty_threads(effort.count(2_000))
    beside = {"scipy f64": scipy, "five empty Python threads": threads}
    beside |= others.figure("brainflow", "chain_us", "BrainFlow")
    return [
        Figure(
            "chain",
            "raw → volts → band-pass and notch (f64 state) → rFFT 512 → ring, p50",
            p50,
            "us",
            "≤ 30 µs, p99 ≤ 65 µs",
            p50 <= 30 and p99 <= 65,
            c50,
            IN_C,
            peers=beside,
            more={"p99_us": p99, "limit_p99_us": c99, "f32_us": fast},
        ),
        Figure(
            "chain_f32",
            "the same with f32 state, p50",
            fast,
            "us",
            "≤ 22 µs",
            fast <= 22,
            c_fast,
            IN_C,
            peers=beside,
            more={"p99_us": fast_p99, "limit_p99_us": c_fast_p99},
        ),
    ]


def filters(limits: Limits, effort: Effort, others: peers.Installed) -> list[Figure]:
    """Scale and filter alone."""
    count = effort.count(4_000)
    made = {state: chain(VOLTS, sos(state)) for state in ("f64", "f32")}

    def one_round() -> list[float]:
        c = limits.measure()
        ours = [micros(made[state], RAW, count) for state in ("f64", "f32")]
        return [*ours[0], *ours[1], c["filter_f64"][0], c["filter_f32"][0]]

    p50, p99, fast, fast_p99, c_slow, c_fast = rounds(effort, one_round)
    beside = peers.of_filter(effort.count(400))
    beside |= others.figure("brainflow", "filter_us", "BrainFlow")
    slow = Figure(
        "filter_f64",
        "scale and filter, f64 state, p50",
        p50,
        "us",
        "≤ 16 µs",
        p50 <= 16,
        c_slow,
        IN_C,
        peers=beside,
        more={"p99_us": p99} | by_instructions("f64", count // 4),
    )
    more = {"p99_us": fast_p99} | by_instructions("f32", count // 4)
    what = "the same with f32 state, p50"
    quick = Figure("filter_f32", what, fast, "us", limit=c_fast, limit_is=IN_C, more=more)
    return [slow, quick]


def by_instructions(state: str, count: int) -> dict[str, float]:
    """The filter on each set of instructions that this processor has."""
    return {
        f"{isa}_us": micros(chain(VOLTS, sos(state), isa=isa), RAW, max(count, 5))[0]
        for isa in core.instruction_sets()
    }


def layout(limits: Limits, effort: Effort) -> Figure:
    """The packets' layout beside the planar one, both with loops as simple as they can be."""

    def one_round() -> list[float]:
        c = limits.measure()
        return [c[name][0] for name in ("filter_f64", "planar_f64", "transpose")]

    interleaved, planar, transpose = rounds(effort, one_round)
    return Figure(
        "layout",
        "scale and filter in C, `[sample][channel]`, p50",
        interleaved,
        "us",
        limit=planar,
        limit_is="the same in C, `[channel][sample]`",
        more={"transpose_us": transpose},
    )


def pass_through(effort: Effort) -> Figure:
    """What each further stage costs that does nothing."""
    count = effort.count(4_000)
    many, one = (chain(*[("pass", {})] * stages) for stages in (100, 1))

    def one_round() -> list[float]:
        return [(micros(many, RAW, count)[0] - micros(one, RAW, count)[0]) / 99 * 1e3]

    (value,) = rounds(effort, one_round)
    what = "each further stage that does nothing"
    return Figure("pass_through", what, value, "ns", "≤ 150 ns", value <= 150)


def throughput(directory: Path, effort: Effort) -> Figure:
    """Samples a second through the chain on one core."""
    made = chain(VOLTS, sos(), FFT, ring=spectra(directory, "rate"))
    peer = Scipy()
    stretches = effort.count(200)

    def one_round() -> list[float]:
        ours = quantile([sum(made.time(RAW, STRETCH)) / STRETCH for _ in range(stretches)], 0.5)
        theirs = quantile([stretch_of(peer) for _ in range(stretches // 4 + 1)], 0.5)
        return [ours, theirs, theirs / ours]

    ours, theirs, ratio = rounds(effort, one_round)
    numbers = CHANNELS * SAMPLES * 1e9
    return Figure(
        "throughput",
        f"the chain on one core, by stretches of {STRETCH} packets with their slow ones",
        numbers / ours,
        "samples/s",
        "≥ 8 × scipy in the same run",
        ratio >= 8,
        ratio=ratio,
        peers={"scipy f64": numbers / theirs},
    )


def stretch_of(peer: Scipy) -> float:
    """Nanoseconds a packet takes scipy over a stretch."""
    start = time.perf_counter_ns()
    for _ in range(SCIPY_STRETCH):
        peer.chain()
    return (time.perf_counter_ns() - start) / SCIPY_STRETCH
