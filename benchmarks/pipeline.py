"""`make bench-pipeline`: the pipeline beside C on this machine, scipy and Numba, in one run.

Packets are 32 channels of 400 samples at 4 kSPS: counts to volts, a band-pass of 1 to 40 Hz and a
notch at 50 Hz in five sections, an rFFT of 512, published in a ring.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
import ringdaq_core as core
from scipy import fft, signal

from benchmarks.measure import RESULTS, quantile
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
from ringdaq.streams.layout import Layout

ROOT = Path(__file__).parents[1]
CHANNELS, SAMPLES, RATE, LENGTH = 32, 400, 4_000, 512
SCALE = 4.5 / 24 / 2**23
SOS = np.vstack(
    [
        signal.butter(4, [1, 40], "bandpass", fs=RATE, output="sos"),
        signal.tf2sos(*signal.iirnotch(50, 30, fs=RATE)),
    ]
)
RAW = (np.arange(SAMPLES * CHANNELS, dtype=np.int32) * 7919 % 100_000 - 50_000).reshape(SAMPLES, -1)
WINDOW = signal.get_window("hann", SAMPLES).astype(np.float32)[:, None]
VOLTS: Any = ("to_voltage", {"scale": SCALE})
FFT: Any = ("rfft", {"length": LENGTH, "samples": SAMPLES})


@dataclass
class Row:
    """One line of the table; `ratio` is the one that `must` speaks of."""

    id: str
    value: float
    unit: str
    must: str
    limit: float | None = None
    ratio: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


def sos(state: str = "f64") -> Any:
    return "sos", {"sos": SOS, "state": state}


def chain(*stages: Any, samples: int = SAMPLES, **options: Any) -> core.Chain:
    return core.Chain(CHANNELS, samples, (RATE, 1), list(stages), **options)


def micros(made: core.Chain, block: Any, rounds: int) -> tuple[float, float]:
    """p50 and p99 of a run, warm."""
    made.time(block, rounds // 4)
    times = made.time(block, rounds)
    return quantile(times, 0.5) / 1e3, quantile(times, 0.99) / 1e3


def timed(work: Callable[[], object], rounds: int) -> float:
    """p50 of a call, in microseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return quantile(times, 0.5) / 1e3


def spectra(directory: Path, name: str) -> tuple[Path, core.Schema, int]:
    """A ring of 1 000 spectra."""
    image = Channel("spectrum", "float32", shape=(LENGTH + 2, CHANNELS))
    schema = Layout.from_spec(StreamSpec(name, "frames", (image,))).schema
    return directory / f"{name}.00000001.ring", schema, 1_000 * (LENGTH + 8) * CHANNELS * 4


def samples_spec(name: str, dtype: str = "float32") -> StreamSpec:
    channels = tuple(Channel(f"c{i}", dtype) for i in range(CHANNELS))
    return StreamSpec(name, "samples", channels, sample_rate=Fraction(RATE))


def limits(directory: Path) -> dict[str, tuple[float, float]]:
    """p50 and p99 in C, in microseconds."""
    program, source = directory / "limit", ROOT / "benchmarks/limits/pipeline/chain.c"
    flags = ["-O3", "-march=native", "-ffast-math"]
    subprocess.run(["cc", *flags, "-o", str(program), str(source), "-lm"], check=True)
    words = [str(program), str(directory / "limit.ring"), *(repr(float(c)) for c in SOS.ravel())]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    rows = (line.split() for line in done.stdout.splitlines())
    return {name: (float(p50) / 1e3, float(p99) / 1e3) for name, p50, p99 in rows}


class Scipy:
    """The same work with scipy, its state carried on."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self._state = np.zeros((len(SOS), 2, CHANNELS), dtype)
        self._sos = SOS.astype(dtype)
        self._dtype = dtype

    def filter(self, raw: Any = RAW) -> Any:
        volts = np.multiply(raw, SCALE, dtype=self._dtype)
        found, self._state = signal.sosfilt(self._sos, volts, axis=0, zi=self._state)
        return found

    def chain(self) -> Any:
        return fft.rfft(self.filter().astype(np.float32) * WINDOW, LENGTH, axis=0)


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def numba_filter(raw: Any, out: Any, sections: Any, state: Any, scale: float) -> None:
    for row in range(raw.shape[0]):
        for channel in range(raw.shape[1]):
            out[row, channel] = raw[row, channel] * scale
        for s in range(sections.shape[0]):
            b0, b1, b2 = sections[s, 0], sections[s, 1], sections[s, 2]
            a1, a2 = sections[s, 4], sections[s, 5]
            for channel in range(raw.shape[1]):
                x = out[row, channel]
                y = b0 * x + state[s, 0, channel]
                state[s, 0, channel] = b1 * x - a1 * y + state[s, 1, channel]
                state[s, 1, channel] = b2 * x - a2 * y
                out[row, channel] = y


def peers_of_filter(rounds: int) -> dict[str, float]:
    out, state = np.empty((SAMPLES, CHANNELS)), np.zeros((len(SOS), 2, CHANNELS))
    numba_filter(RAW, out, SOS, state, SCALE)
    return {
        "scipy f64": timed(Scipy().filter, rounds),
        "scipy f32": timed(Scipy(np.float32).filter, rounds),
        "numba f64": timed(lambda: numba_filter(RAW, out, SOS, state, SCALE), rounds),
    }


def chains(directory: Path, found: dict[str, tuple[float, float]], rounds: int) -> list[Row]:
    scipy = {"scipy f64": timed(Scipy().chain, rounds // 10)}
    rows = []
    for name, state, must in (
        ("chain", "f64", "≤ 30 µs, p99 ≤ 65"),
        ("chain_f32", "f32", "≤ 22 µs"),
    ):
        made = chain(VOLTS, sos(state), FFT, ring=spectra(directory, name))
        p50, p99 = micros(made, RAW, rounds)
        limit, more = found[name][0], {"p99": p99, "limit_p99": found[name][1]}
        rows.append(Row(name, p50, "µs", must, limit, p50 / limit, scipy, more))
    return rows


def filters(found: dict[str, tuple[float, float]], rounds: int) -> list[Row]:
    peers = peers_of_filter(rounds // 10)
    rows = []
    for name, state, must in (("filter_f64", "f64", "≤ 16 µs"), ("filter_f32", "f32", "")):
        p50, p99 = micros(chain(VOLTS, sos(state)), RAW, rounds)
        limit = found[name][0]
        each = {
            isa: micros(chain(VOLTS, sos(state), isa=isa), RAW, rounds // 4)[0]
            for isa in core.instruction_sets()
        }
        rows.append(Row(name, p50, "µs", must, limit, p50 / limit, peers, {"p99": p99, "by": each}))
    return rows


def pass_through(rounds: int) -> Row:
    stages = [("pass", {})] * 100
    many = micros(chain(*stages), RAW, rounds)[0]
    one = micros(chain(*stages[:1]), RAW, rounds)[0]
    return Row("pass_through", (many - one) / 99 * 1e3, "ns", "≤ 150 ns")


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def one_section(source: Any, target: Any, p: Any, state: Any, channels: int, stride: int) -> None:
    b0, b1, b2, a1, a2 = p[0], p[1], p[2], p[4], p[5]
    for row in range(source.shape[0] // stride):
        given, made = source[row * stride :], target[row * stride :]
        for channel in range(channels):
            x = given[channel]
            y = b0 * x + state[channel]
            state[channel] = b1 * x - a1 * y + state[channels + channel]
            state[channels + channel] = b2 * x - a2 * y
            made[channel] = y


def compiled() -> Any:
    """A section written in Python, as a C function."""
    types = numba.types
    floats, doubles, whole = (
        types.CPointer(types.float32),
        types.CPointer(types.float64),
        types.int64,
    )
    signature = types.int32(floats, floats, whole, whole, whole, doubles, doubles)

    def work(source, target, samples, channels, stride, parameters, state):  # type: ignore[no-untyped-def]
        given = numba.carray(source, samples * stride)
        made = numba.carray(target, samples * stride)
        p, s = numba.carray(parameters, 6), numba.carray(state, 2 * channels)
        one_section(given, made, p, s, channels, stride)
        return 0

    return numba.cfunc(signature)(work)


def numba_stage(rounds: int) -> Row:
    """One general section in doubles, in Numba and in the core."""
    section = [0.2, 0.3, 0.1, 1.0, -0.5, 0.3]
    block = (RAW * SCALE).astype(np.float32)
    function = compiled()
    native: Any = {"address": function.address, "parameters": section, "keep": function}
    native["state"] = [0.0] * (2 * CHANNELS)
    ours = micros(chain(("native", native), kind="voltage"), block, rounds)[0]
    limit = micros(chain(("sos", {"sos": section}), kind="voltage"), block, rounds)[0]
    return Row("numba_stage", ours, "µs", "≤ 1.3 × the core's", limit, ours / limit)


def python_stage(rounds: int) -> Row:
    with_one = micros(chain(("python", {"call": lambda _: None})), RAW, rounds)[0]
    without = micros(chain(("pass", {})), RAW, rounds)[0]
    view = micros(chain(("python", {"call": np.asarray})), RAW, rounds)[0]
    return Row("python_stage", with_one - without, "µs", "≤ 10 µs", more={"view": view - without})


def allocations(packets: int) -> Row:
    words = ["cargo", "test", "--release", "--locked", "--test", "pipeline_allocations"]
    command = [*words, "--manifest-path", str(ROOT / "core/Cargo.toml"), "--", "--nocapture"]
    environment = os.environ | {"RINGDAQ_PACKETS": str(packets)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    match = re.search(r"(\d+) calls of the allocator over (\d+) packets", done.stdout)
    if match is None:
        raise RuntimeError(f"the counting test must tell its count; found: {done.stderr[-2000:]}")
    return Row("allocations", int(match[1]), "calls", "0", 0, more={"packets": int(match[2])})


def cpu(directory: Path, seconds: float) -> Row:
    """From a ring of counts into a ring of spectra at 4 kSPS: the stages' threads alone."""
    path, schema, capacity = spectra(directory, "cpu")
    with StreamWriter.create(
        directory, samples_spec("raw", "int32"), capacity_bytes=1 << 24
    ) as raw:
        pipeline = core.Pipeline()
        pipeline.ring_source("raw", raw.path, SAMPLES, (RATE, 1))
        for name, (kind, parameters) in zip(
            ("volts", "bands", "fft"), (VOLTS, sos(), FFT), strict=True
        ):
            pipeline.stage(name, kind, parameters)
        pipeline.ring_sink("spectra", path, schema, capacity)
        names = ["raw", "volts", "bands", "fft", "spectra"]
        for source, target in pairwise(names):
            pipeline.connect(source, target)
        pipeline.start()
        before, start, packets = thread_nanos("stage-"), time.monotonic(), 0
        while time.monotonic() - start < seconds:
            raw.write_block(time.time_ns(), RAW)
            packets += 1
            time.sleep(max(0.0, start + packets * SAMPLES / RATE - time.monotonic()))
        used = thread_nanos("stage-") - before
        latency = pipeline.statistics()[3][0][3]
        pipeline.stop(5.0)
    share = 100 * used / 1e9 / (packets * SAMPLES / RATE)
    scipy = 100 * timed(Scipy().chain, 100) / 1e6 / (SAMPLES / RATE)
    more = {"latency_p50_µs": latency[0] / 1e3, "latency_p99_µs": latency[1] / 1e3}
    return Row(
        "cpu", share, "% of a core", "≤ 0.1", peers={"scipy, compute only": scipy}, more=more
    )


def thread_nanos(prefix: str) -> int:
    """What this process's threads of a name have run, in nanoseconds."""
    tasks = Path("/proc/self/task").iterdir()
    named = (task for task in tasks if (task / "comm").read_text().startswith(prefix))
    return sum(int((task / "schedstat").read_text().split()[0]) for task in named)


def small_packets(directory: Path, rounds: int) -> Row:
    """4 samples a packet, 1 ms: to volts, filtered, published."""
    spec = samples_spec("small")
    ring = directory / "small.00000001.ring", Layout.from_spec(spec).schema, 1 << 24
    p50, p99 = micros(chain(VOLTS, sos(), samples=4, ring=ring), RAW[:4], rounds)
    peer = Scipy()
    scipy = timed(lambda: peer.filter(RAW[:4]), rounds // 10)
    more = {"p99": p99} | arrival(directory)
    return Row("small_packets", p50, "µs", "≤ 2 µs", peers={"scipy, filter only": scipy}, more=more)


def arrival(directory: Path, packets: int = 500) -> dict[str, float]:
    """From a packet's last sample to who waits for its result, through two rings, at 1 kHz."""
    spec = samples_spec("arrived")
    path = directory / "arrived.00000001.ring"
    waits: list[float] = []
    with StreamWriter.create(directory, samples_spec("ms", "int32"), capacity_bytes=1 << 24) as raw:
        pipeline = core.Pipeline()
        pipeline.ring_source("ms", raw.path, 4, (RATE, 1))
        pipeline.stage("volts", *VOLTS)
        pipeline.stage("bands", *sos())
        pipeline.ring_sink("arrived", path, Layout.from_spec(spec).schema, 1 << 24)
        for source, target in (("ms", "volts"), ("volts", "bands"), ("bands", "arrived")):
            pipeline.connect(source, target)
        pipeline.start()
        sent: list[int] = []
        reader = core.RingReader.open(path)

        def wait() -> None:
            for sequence in range(packets):
                if not reader.wait(sequence, 10.0):
                    return
                waits.append((time.perf_counter_ns() - sent[sequence]) / 1e3)

        waiter = threading.Thread(target=wait)
        waiter.start()
        for _ in range(packets):
            sent.append(time.perf_counter_ns())
            raw.write_block(time.time_ns(), RAW[:4])
            time.sleep(0.001)
        waiter.join()
        pipeline.stop(5.0)
    return {"arrival_p50": quantile(waits, 0.5), "arrival_p99": quantile(waits, 0.99)}


def throughput(directory: Path, rounds: int) -> Row:
    made = chain(VOLTS, sos(), FFT, ring=spectra(directory, "rate"))
    made.time(RAW, rounds // 4)
    ours = CHANNELS * SAMPLES * rounds / (sum(made.time(RAW, rounds)) / 1e3)
    scipy = CHANNELS * SAMPLES / timed(Scipy().chain, rounds // 20)
    return Row(
        "throughput", ours, "M samples/s", "≥ 8 × scipy", None, ours / scipy, {"scipy": scipy}
    )


def measure(directory: Path, rounds: int, packets: int, seconds: float) -> list[Row]:
    """All rows."""
    found = limits(directory)
    return [
        *chains(directory, found, rounds),
        *filters(found, rounds),
        pass_through(rounds),
        numba_stage(rounds),
        python_stage(rounds),
        cpu(directory, seconds),
        small_packets(directory, rounds),
        throughput(directory, rounds),
        *([allocations(packets)] if packets else []),
    ]


def show(row: Row) -> str:
    limit = "" if row.limit is None else f"{row.limit:.3g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    peers = ", ".join(f"{name} {value:.3g}" for name, value in row.peers.items())
    return f"| `{row.id}` | {row.value:.3g} {row.unit} | {limit} | {ratio} | {row.must} | {peers} |"


def main() -> None:
    """Measure, print the table, write `results/pipeline.json`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tiny", action="store_true", help="only prove that it runs")
    parser.add_argument("--without-allocations", action="store_true", help="needs no cargo")
    options = parser.parse_args()
    rounds, seconds = (200, 0.5) if options.tiny else (4_000, 10.0)
    packets = 0 if options.tiny or options.without_allocations else 1_000_000
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ringdaq-bench-") as directory:
        rows = measure(Path(directory), rounds, packets, seconds)
    print(f"kernels: {core.instruction_sets()[0]}\n")
    print("| what | value | limit | ratio | must | peers |\n| --- | --- | --- | --- | --- | --- |")
    print("\n".join(show(row) for row in rows))
    if not options.tiny:
        RESULTS.mkdir(exist_ok=True)
        kernels = {"kernels": core.instruction_sets()[0]}
        found = [asdict(row) | kernels for row in rows]
        (RESULTS / "pipeline.json").write_text(json.dumps(found, indent=1))
        print(f"\nwritten: {RESULTS / 'pipeline.json'}")


if __name__ == "__main__":
    main()
