"""The core's kernels say what scipy says, on every set of instructions, whatever the packets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core
from hypothesis import given, settings
from hypothesis import strategies as st

signal = pytest.importorskip("scipy.signal")

RATE = 4_000
SCALE = 4.5 / 24 / 2**23
ISAS = core.instruction_sets()
BAND = np.vstack(
    [
        signal.butter(4, [1, 40], "bandpass", fs=RATE, output="sos"),
        signal.tf2sos(*signal.iirnotch(50, 30, fs=RATE)),
    ]
)


def eeg(samples: int, channels: int = 32) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Counts of a board: each channel a rhythm of its own, line noise, noise and an offset."""
    random = np.random.default_rng(channels)
    time = np.arange(samples)[:, None] / RATE
    rhythm = 2e3 * np.sin(2 * np.pi * (2 + np.arange(channels)) * time)
    line = 5e3 * np.sin(2 * np.pi * 50 * time)
    offset = 1e5 * np.arange(channels)
    noise = random.normal(0, 500, (samples, channels))
    return np.ascontiguousarray((rhythm + line + offset + noise).astype(np.int32))


def chain(channels: int, samples: int, *stages: Any, **options: Any) -> core.Chain:
    return core.Chain(channels, samples, (RATE, 1), list(stages), **options)


def worst(found: Any, wanted: Any) -> float:
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channels", [1, 8, 32, 40])
def test_scale_and_filter_equal_scipy(isa: str, channels: int) -> None:
    raw = eeg(4 * 400, channels)
    stages = ("to_voltage", {"scale": SCALE}), ("sos", {"sos": BAND})
    made = chain(channels, 400, *stages, isa=isa)
    found = np.vstack([np.asarray(made.run(part)) for part in np.split(raw, 4)])
    wanted = signal.sosfilt(BAND, raw * SCALE, axis=0)
    assert found.shape == wanted.shape
    for channel in range(channels):
        assert worst(found[:, channel], wanted[:, channel]) < 1e-6


@pytest.mark.parametrize("isa", ISAS)
def test_the_transform_equals_scipy(isa: str) -> None:
    raw = eeg(400)
    volts = (raw * SCALE).astype(np.float32)
    stages = ("to_voltage", {"scale": SCALE}), ("rfft", {"length": 512, "samples": 400})
    found = np.asarray(chain(32, 400, *stages, isa=isa).run(raw))
    found = found[0::2] + 1j * found[1::2]
    window = signal.get_window("hann", 400)[:, None]
    wanted = np.fft.rfft(volts.astype(float) * window, 512, axis=0)
    for channel in range(32):
        assert worst(found[:, channel], wanted[:, channel]) < 1e-6


def test_welch_equals_scipy_and_bands_are_its_sums() -> None:
    raw = eeg(4_000, 3)
    volts = raw * SCALE - (raw * SCALE).mean(axis=0)
    window = signal.get_window("hann", 512)
    averages = (4_000 - 512) // 256 + 1
    common = {"window": window, "step": 256, "averages": averages}
    center = "sos", {"sos": [[1, -1, 0, 1, -0.999, 0]]}
    steps = "to_voltage", {"scale": SCALE}
    whole = chain(3, 4_000, steps, center)
    centred = np.asarray(whole.run(raw)).copy()
    psd = chain(3, 400, ("welch", common), kind="voltage")
    parts = [psd.run(centred[at : at + 400], first_sample=at) for at in range(0, 4_000, 400)]
    found = [np.asarray(part) for part in parts if part is not None]
    frequencies, wanted = signal.welch(centred.astype(float), RATE, window, nperseg=512, axis=0)
    assert len(found) == 1
    assert worst(found[0], wanted) < 1e-5
    bands = chain(3, 400, ("welch", common | {"bands": [8, 13, 13, 30]}), kind="voltage")
    rows = [bands.run(centred[at : at + 400], first_sample=at) for at in range(0, 4_000, 400)]
    powers = np.asarray(next(row for row in rows if row is not None))
    for row, (low, high) in zip(powers, [(8, 13), (13, 30)], strict=True):
        inside = (frequencies >= low) & (frequencies < high)
        assert row == pytest.approx(wanted[inside].sum(axis=0) * RATE / 512, rel=1e-4)
    assert volts.shape == (4_000, 3)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 999), max_size=12), isa=st.sampled_from(ISAS))
def test_packet_boundaries_do_not_show(cuts: list[int], isa: str) -> None:
    raw = eeg(1_000, 5)
    stages: Any = (
        ("to_voltage", {"scale": SCALE}),
        ("reference", {}),
        ("sos", {"sos": BAND}),
        ("envelope", {"sos": signal.butter(2, 5, fs=RATE, output="sos")}),
        ("decimate", {"factor": 4}),
    )
    wanted = np.asarray(chain(5, 1_000, *stages, isa=isa).run(raw)).copy()
    made = chain(5, 1_000, *stages, isa=isa)
    edges = [0, *sorted(set(cuts)), 1_000]
    found = []
    for start, end in pairwise(edges):
        packet = made.run(raw[start:end], first_sample=start)
        if packet is not None:
            found.append(np.asarray(packet).copy())
    assert np.array_equal(np.vstack(found), wanted)


def test_references() -> None:
    volts = np.random.default_rng(1).normal(0, 1, (50, 7)).astype(np.float32)
    matrix = np.eye(7) - np.roll(np.eye(7), 1, axis=1) / 2 - np.roll(np.eye(7), -1, axis=1) / 2
    wanted = {
        "average": ({}, volts - volts.mean(axis=1, keepdims=True)),
        "channel": ({"channel": 2}, volts - volts[:, 2:3]),
        "laplacian": ({"matrix": matrix}, volts @ matrix.T),
    }
    for parameters, expected in wanted.values():
        made = chain(7, 50, ("reference", parameters), kind="voltage")
        assert np.asarray(made.run(volts)) == pytest.approx(expected, abs=1e-5)


def test_the_slow_and_the_quick_filter_differ_as_measured() -> None:
    raw = eeg(8 * 400)
    wanted = signal.sosfilt(BAND, raw * SCALE, axis=0)
    stages = ("to_voltage", {"scale": SCALE}), ("sos", {"sos": BAND, "state": "f32"})
    made = chain(32, 400, *stages)
    found = np.vstack([np.asarray(made.run(part)) for part in np.split(raw, 8)])
    assert 1e-6 < worst(found, wanted) < 5e-2


def test_a_threshold_fires_once_a_crossing() -> None:
    volts = np.zeros((100, 2), np.float32)
    volts[10:20, 1], volts[50:60, 1] = 2, 3
    parameters = {"channel": 1, "level": 1.0, "hysteresis": 0.5}
    made = chain(2, 100, ("threshold", parameters), kind="voltage")
    made.run(volts, origin_nanos=1_000)
    found = made.triggers()
    assert [(t[0], t[2], t[3], t[4], t[5]) for t in found] == [
        (1_000 + 10 * 250_000, 10, 1, 2.0, True),
        (1_000 + 50 * 250_000, 50, 1, 3.0, True),
    ]
    assert made.triggers() == []


def crossings(volts: Any, **parameters: Any) -> list[int]:
    made = chain(1, len(volts), ("threshold", {"channel": 0, **parameters}), kind="voltage")
    made.run(np.asarray(volts, np.float32).reshape(-1, 1))
    return [trigger[2] for trigger in made.triggers()]


@pytest.mark.parametrize("edge", ["rising", "falling"])
def test_a_number_that_is_none_crosses_nothing(edge: str) -> None:
    sign = 1 if edge == "rising" else -1
    volts = np.full(20, -sign, float)
    volts[[3, 8]] = np.nan
    volts[[9, 10]] = sign
    assert crossings(volts, level=0.0, edge=edge) == [9]


def test_a_crossing_during_the_rest_makes_no_trigger_when_the_rest_ends() -> None:
    volts = np.full(100, -1.0)
    volts[10:12], volts[14:80], volts[90:] = 1, 1, 1
    assert crossings(volts, level=0.0, rest=50) == [10, 90]
    assert crossings(volts, level=0.0, rest=50, hysteresis=0.5) == [10, 90]
    assert crossings(volts, level=0.0) == [10, 14, 90]


def test_what_makes_no_sense_is_refused() -> None:
    refused: list[Any] = [
        ("sos", {"sos": [[1, 0, 0, 1, -2.1, 1.05]]}, "unit circle"),
        ("sos", {"sos": [1, 2]}, "six numbers"),
        ("rfft", {"length": 500}, "power of two"),
        ("nothing", {}, "there are: pass"),
        ("decimate", {"factor": 2, "fraction": 1}, 'no parameter "fraction"'),
        ("welch", {"segment": 64, "step": 32, "averages": 9, "bands": [1, 3_000]}, "half the rate"),
    ]
    for kind, parameters, said in refused:
        with pytest.raises(core.InvalidError, match=said):
            chain(4, 64, (kind, parameters), kind="voltage")
    with pytest.raises(core.InvalidError, match="needs volts"):
        chain(4, 64, ("sos", {"sos": BAND}))
    with pytest.raises(core.InvalidError, match="a block is"):
        chain(4, 64).run(np.zeros((3, 4), np.float32))
    with pytest.raises(core.InvalidError, match="holds 4 channels of 64 samples"):
        chain(4, 64).run(np.zeros((65, 4), np.int32))
