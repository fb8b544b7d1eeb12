"""What a pipeline costs as it runs, from ring to ring."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import ringdaq_core as core

from benchmarks.limits import futex_wake_nanos
from benchmarks.lsl_loop import lsl_loop
from benchmarks.measure import quantile
from benchmarks.pipeline.figure import Figure
from benchmarks.pipeline.work import (
    FFT,
    RATE,
    RAW,
    SAMPLES,
    VOLTS,
    Scipy,
    chain,
    micros,
    samples_ring,
    samples_spec,
    sos,
    spectra,
    timed,
)
from benchmarks.ring_bench.figure import Effort, rounds
from ringdaq.streams import StreamWriter

SMALL = 4
"""Samples of a small packet: 1 ms."""
RUN_SECS = 5.0


def measure(directory: Path, effort: Effort, chain_in_c_us: float) -> list[Figure]:
    """Processor time at rest with the packets, and small packets on their way."""
    return [cpu(directory, effort, chain_in_c_us), small_packets(directory, effort)]


def looped(effort: Effort) -> Figure:
    """What the filters between two LSL streams add to LSL alone."""
    rounds, chunks = (6, 1_000) if effort.share >= 1 else (1, 100)
    found = lsl_loop(rounds, chunks)
    seen = {name: micros / 1e3 for name, micros in found["peers"].items()}
    alone, value = seen["lsl_alone_p99_us"], found["value"]
    return Figure(
        "lsl_loop",
        "LSL in → volts, band-pass, notch → LSL out, added p99, 1 ms a chunk",
        value,
        "ms",
        "< 1 ms",
        value < 1,
        alone,
        "LSL alone, p99",
        peers={"LSL alone, p50": seen["lsl_alone_p50_us"], "LSL alone, p99": alone},
        more={name: found["peers"][name] for name in ("through_p50_us", "through_p99_us")},
    )


@contextmanager
def running(
    directory: Path, samples: int, stages: Sequence[Any], ring: tuple[Path, core.Schema, int]
) -> Iterator[tuple[core.Pipeline, StreamWriter]]:
    """A pipeline from a ring of counts into another ring, and the writer of the first."""
    spec = samples_spec(f"counts{len(list(directory.iterdir()))}", "int32")
    with StreamWriter.create(directory, spec, capacity_bytes=1 << 24) as counts:
        pipeline = core.Pipeline()
        pipeline.ring_source("source", counts.path, samples, (RATE, 1))
        names = ["source"]
        for index, (kind, parameters) in enumerate(stages):
            names.append(f"{kind}{index}")
            pipeline.stage(names[-1], kind, parameters)
        names.append("sink")
        pipeline.ring_sink("sink", *ring)
        for source, target in pairwise(names):
            pipeline.connect(source, target)
        pipeline.start()
        try:
            yield pipeline, counts
        finally:
            pipeline.stop(5.0)


def thread_nanos(prefix: str) -> int:
    """What this process's threads of a name have run, in nanoseconds."""
    tasks = Path("/proc/self/task").iterdir()
    named = (task for task in tasks if (task / "comm").read_text().startswith(prefix))
    return sum(int((task / "schedstat").read_text().split()[0]) for task in named)


def share(directory: Path, seconds: float) -> list[float]:
    """What the stages' threads take of a core in %, and the latency in the pipeline in us."""
    with running(directory, SAMPLES, (VOLTS, sos(), FFT), spectra(directory, "cpu")) as (
        pipeline,
        counts,
    ):
        # Only what lasts counts.
        time.sleep(0.2)
        before, start, packets = thread_nanos("stage-"), time.monotonic(), 0
        while time.monotonic() - start < seconds:
            counts.write_block(time.time_ns(), RAW)
            packets += 1
            time.sleep(max(0.0, start + packets * SAMPLES / RATE - time.monotonic()))
        used = thread_nanos("stage-") - before
        ((_, _, latency),) = pipeline.latency()
    return [100 * used / 1e9 / (packets * SAMPLES / RATE), *(nanos / 1e3 for nanos in latency[:2])]


def cpu(directory: Path, effort: Effort, chain_in_c_us: float) -> Figure:
    """The threads of the whole chain at 4 kSPS, publishing; the source's writer is not theirs."""
    seconds = max(0.5, RUN_SECS * min(1.0, effort.share))
    found, p50, p99 = rounds(effort, lambda: share(directory, seconds))
    packets_per_sec = RATE / SAMPLES
    scipy = timed(Scipy().chain, effort.count(100)) * packets_per_sec / 1e6
    return Figure(
        "cpu",
        "the chain at 32 channels and 4 kSPS, from ring to ring: threads, wake-ups and all",
        found,
        "%",
        "≤ 0.1 % of one core",
        found <= 0.1,
        100 * chain_in_c_us * packets_per_sec / 1e6,
        "computing alone, warm, in C",
        peers={"scipy f64, computing alone": 100 * scipy},
        more={"latency_p50_us": p50, "latency_p99_us": p99},
    )


def small_packets(directory: Path, effort: Effort) -> Figure:
    """4 samples a packet: to volts, filtered, published."""
    count = effort.count(4_000)
    made = chain(VOLTS, sos(), samples=SMALL, ring=samples_ring(directory, "small"))
    peer = Scipy()

    def one_round() -> list[float]:
        p50, p99 = micros(made, RAW[:SMALL], count)
        ways = arrival(directory, effort.count(500))
        wakes = futex_wake_nanos(effort.count(500))
        wake = quantile(wakes, 0.5) / 1e3
        scipy = timed(lambda: peer.filter(RAW[:SMALL]), count // 10)
        return [p50, p99, quantile(ways, 0.5), quantile(ways, 0.99), wake, scipy]

    p50, p99, way, way_p99, wake, scipy = rounds(effort, one_round)
    # The first of a packet's samples has waited for the others.
    waited = (SMALL - 1) * 1e6 / RATE
    return Figure(
        "small_packets",
        "packets of 4 samples (1 ms): to volts, filtered, published, p50",
        p50,
        "us",
        "≤ 2 µs; sample to subscriber ≤ 1 ms and one wake-up",
        p50 <= 2 and waited + way <= 1_000 + wake,
        peers={"scipy f64, filter alone": scipy},
        more={
            "p99_us": p99,
            "sample_to_subscriber_us": waited + way,
            "sample_to_subscriber_p99_us": waited + way_p99,
            "packet_to_subscriber_us": way,
            "one_wake_up_us": wake,
        },
    )


def arrival(directory: Path, packets: int) -> list[float]:
    """From a packet's last sample to who waits for its result, through two rings, in us."""
    ring = samples_ring(directory, "arrived")
    sent: list[int] = []
    waits: list[float] = []
    with running(directory, SMALL, (VOLTS, sos()), ring) as (_, counts):
        reader = core.RingReader.open(ring[0])

        def wait() -> None:
            for sequence in range(packets):
                if not reader.wait(sequence, 10.0):
                    return
                waits.append((time.perf_counter_ns() - sent[sequence]) / 1e3)

        waiter = threading.Thread(target=wait)
        waiter.start()
        for _ in range(packets):
            sent.append(time.perf_counter_ns())
            counts.write_block(time.time_ns(), RAW[:SMALL])
            time.sleep(SMALL / RATE)
        waiter.join()
    return waits
