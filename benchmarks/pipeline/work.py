"""What is measured: 32 channels of 400 samples at 4 kSPS, on their way to a ring of spectra.

Counts to volts, a band-pass of 1 to 40 Hz and a notch at 50 Hz in five sections, an rFFT of 512.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import ringdaq_core as core
from scipy import fft, signal

from benchmarks.measure import quantile
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams.layout import Layout

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


def sos(state: str = "f64") -> Any:
    """The five sections."""
    return "sos", {"sos": SOS, "state": state}


def chain(*stages: Any, samples: int = SAMPLES, **options: Any) -> core.Chain:
    """Stages for packets of counts."""
    return core.Chain(CHANNELS, samples, (RATE, 1), list(stages), **options)


def micros(made: core.Chain, block: Any, rounds: int) -> tuple[float, float]:
    """p50 and p99 of a run in microseconds, warm."""
    made.time(block, rounds // 4)
    times = made.time(block, rounds)
    return quantile(times, 0.5) / 1e3, quantile(times, 0.99) / 1e3


def timed(work: Callable[[], object], rounds: int) -> float:
    """p50 of a call, in microseconds."""
    times = []
    for _ in range(max(3, rounds)):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return quantile(times, 0.5) / 1e3


def spectra(directory: Path, name: str) -> tuple[Path, core.Schema, int]:
    """A ring of 1 000 spectra."""
    image = Channel("spectrum", "float32", shape=(LENGTH + 2, CHANNELS))
    schema = Layout.from_spec(StreamSpec(name, "frames", (image,))).schema
    return ring_path(directory, name), schema, 1_000 * (LENGTH + 8) * CHANNELS * 4


def samples_spec(name: str, dtype: str = "float32") -> StreamSpec:
    """A stream of the packets themselves."""
    channels = tuple(Channel(f"c{i}", dtype) for i in range(CHANNELS))
    return StreamSpec(name, "samples", channels, sample_rate=Fraction(RATE))


def samples_ring(directory: Path, name: str) -> tuple[Path, core.Schema, int]:
    """A ring of 16 MiB for results that are samples."""
    return ring_path(directory, name), Layout.from_spec(samples_spec(name)).schema, 1 << 24


def ring_path(directory: Path, name: str) -> Path:
    """A path that is free: each ring is made once."""
    count = len(list(directory.glob(f"{name}.*.ring")))
    return directory / f"{name}.{count + 1:08}.ring"


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
