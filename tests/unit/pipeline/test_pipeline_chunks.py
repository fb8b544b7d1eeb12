"""Packet boundaries do not show: any chunking gives the same results at the same times."""

from __future__ import annotations

from fractions import Fraction
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core
from hypothesis import given, settings
from hypothesis import strategies as st

signal = pytest.importorskip("scipy.signal")

RATE, CHANNELS, SAMPLES, MOST = 250, 5, 1_200, 128
SOS = np.vstack(
    [
        signal.butter(4, [1, 40], "bandpass", fs=RATE, output="sos"),
        signal.tf2sos(*signal.iirnotch(50, 30, fs=RATE)),
    ]
)
SMOOTH = signal.butter(2, 5, fs=RATE, output="sos")
CROSSINGS = {"channel": 1, "level": 0.8, "hysteresis": 0.2, "rest": 10}
STAGES: dict[str, list[Any]] = {
    "sos": [("sos", {"sos": SOS})],
    "sos_f32": [("sos", {"sos": SOS, "state": "f32"})],
    "reference": [("reference", {})],
    "envelope": [("envelope", {"sos": SMOOTH})],
    "decimate": [("decimate", {"factor": 7})],
    "welch": [("welch", {"segment": 64, "step": 32, "averages": 4})],
    "bands": [("welch", {"segment": 64, "step": 32, "averages": 4, "bands": [8, 13, 13, 30]})],
    "threshold": [("threshold", CROSSINGS)],
    "epoch": [("threshold", CROSSINGS), ("epoch", {"before": 20, "after": 60})],
    "all": [("sos", {"sos": SOS}), ("decimate", {"factor": 3}), ("envelope", {"sos": SMOOTH})],
}

Lengths = st.lists(st.integers(1, MOST), min_size=1, max_size=12)
"""Of packets, again and again until the signal ends."""


def volts() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Each channel a rhythm of its own and noise of its own."""
    random = np.random.default_rng(7)
    time = np.arange(SAMPLES)[:, None] / RATE
    rhythm = np.sin(2 * np.pi * (1.3 + np.arange(CHANNELS)) * time)
    return (rhythm + random.normal(0, 0.1, rhythm.shape)).astype(np.float32)


def edges(lengths: list[int]) -> list[int]:
    found = [0]
    for length in cycle(lengths):
        found.append(min(found[-1] + length, SAMPLES))
        if found[-1] == SAMPLES:
            return found
    return found


def results(stages: list[Any], lengths: list[int]) -> tuple[list[Any], list[Any]]:
    """All rows with their times, and all triggers, for packets of such lengths."""
    block = volts()
    chain = core.Chain(CHANNELS, MOST, (RATE, 1), stages, kind="voltage", packets=4)
    rows: list[Any] = []
    triggers: list[Any] = []
    for start, end in pairwise(edges(lengths)):
        packet = chain.run(block[start:end], origin_nanos=1_000, first_sample=start)
        while packet is not None:
            array = np.asarray(packet)
            rows += [(packet.sample_timestamp(i), row.tolist()) for i, row in enumerate(array)]
            del array
            packet = chain.more()
        # A trigger is the same wherever its packet begins.
        triggers += [(t[0], *t[3:]) for t in chain.triggers()]
    return rows, triggers


@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES)
@settings(max_examples=15, deadline=None)
@given(lengths=Lengths)
def test_any_chunking_gives_the_same_results(stages: list[Any], lengths: list[int]) -> None:
    rows, triggers = results(stages, lengths)
    wanted_rows, wanted_triggers = results(stages, [MOST])
    assert triggers == wanted_triggers
    if stages[0][0] == "welch":
        # A power density's rows are frequencies; its time is that of the packet that completes it.
        rows, wanted_rows = [row[1] for row in rows], [row[1] for row in wanted_rows]
    kept = min(len(rows), len(wanted_rows))
    assert kept >= len(wanted_rows) - MOST
    assert rows[:kept] == wanted_rows[:kept]


@given(
    rate=st.fractions(Fraction(1, 1_000), 50_000, max_denominator=1_001),
    first=st.integers(0, 10**10),
    sample=st.integers(0, 399),
)
def test_a_samples_time_is_exact_for_any_rate(rate: Fraction, first: int, sample: int) -> None:
    packet = core.Pool(1, 400, 1).try_acquire()
    assert packet is not None
    origin = 1_700_000_000_123_456_789
    later = int((first + sample) / rate * 10**9)
    if origin + later >= 2**63:
        return
    packet.set_header("raw", 1, 400, origin, first, (rate.numerator, rate.denominator), 0)
    assert packet.sample_timestamp(sample) == origin + (first + sample) * 10**9 // rate


@pytest.mark.parametrize("rate", [250, 4_000, 16_000, 3_000])
def test_a_day_of_packets_ends_on_its_nanosecond(rate: int) -> None:
    packet = core.Pool(1, 400, 1).try_acquire()
    assert packet is not None
    day = rate * 86_400
    for first in [*range(0, day, 400 * 997), day - 400]:
        packet.set_header("raw", 1, 400, 5, first, (rate, 1), 0)
        for sample in (0, 1, 399):
            assert packet.sample_timestamp(sample) == 5 + (first + sample) * 10**9 // rate
    packet.set_header("raw", 1, 400, 5, day, (rate, 1), 0)
    assert packet.sample_timestamp(0) == 5 + 86_400 * 10**9


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(-(2**23), 2**23 - 1), min_size=32, max_size=32),
    gain=st.sampled_from([1, 2, 4, 6, 8, 12, 24]),
    isa=st.sampled_from(core.instruction_sets()),
)
def test_counts_become_volts_and_counts_again(counts: list[int], gain: int, isa: str) -> None:
    scale = 4.5 / gain / 2**23
    raw = np.array(counts, np.int32).reshape(4, 8)
    chain = core.Chain(8, 4, (RATE, 1), [("to_voltage", {"scale": scale})], isa=isa)
    found = np.asarray(chain.run(raw))
    assert found == pytest.approx(raw * scale, rel=1e-6)
    assert np.array_equal(np.rint(found / np.float64(scale)).astype(np.int32), raw)
