"""What spectra and filters make of gaps, and of packets of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

RATE = 256
START = 1_700_000_000_000_000_000
ONES = [1.0] * 64


def nanos(sample: int) -> int:
    return START + sample * 10**9 // RATE


def sine(samples: int) -> Any:
    places = np.arange(samples)[:, None]
    return np.sin(2 * np.pi * 16 * places / RATE).astype(np.float32) * np.ones(2, np.float32)


def chain(kind: str, **parameters: Any) -> core.Chain:
    return core.Chain(2, 64, (RATE, 1), [(kind, parameters)], kind="voltage")


def results(made: core.Chain, rows: Any, cuts: list[int], first: int = 0) -> list[tuple[int, Any]]:
    """Run rows that begin at a sample in packets; the times and the numbers of what comes out."""
    found = []
    for begin, end in pairwise([0, *cuts, len(rows)]):
        packet = made.run(rows[begin:end], nanos(first), begin)
        if packet is not None:
            found.append((packet.sample_timestamp(0), np.asarray(packet).copy()))
    return found


SPECTRA: Any = [
    ("rfft", {"length": 64, "samples": 64, "output": "power"}, 64, 64),
    ("welch", {"window": ONES, "step": 64, "averages": 1}, 64, 64),
    ("welch", {"window": ONES, "step": 32, "averages": 3}, 128, 96),
]


@pytest.mark.parametrize(("kind", "parameters", "span", "step"), SPECTRA)
@pytest.mark.parametrize("size", [7, 20, 63, 64])
def test_a_spectrum_has_the_time_of_its_first_sample_whatever_the_packets(
    kind: str, parameters: Any, span: int, step: int, size: int
) -> None:
    rows = sine(512)
    made = chain(kind, **parameters)
    found = results(made, rows, list(range(size, len(rows), size)))
    begins = range(0, len(rows) - span + 1, step)
    assert [time for time, _ in found] == [nanos(begin) for begin in begins]
    whole = results(chain(kind, **parameters), rows, list(range(64, len(rows), 64)))
    for (_, one), (_, other) in zip(found, whole, strict=True):
        assert np.array_equal(one, other)
    waiting = len(rows) - begins[-1] - span
    assert made.gauges(f"{kind}0") == [("cut_samples", 0.0), ("waiting_samples", waiting)]


@pytest.mark.parametrize(("kind", "parameters", "span"), [row[:3] for row in SPECTRA])
def test_no_spectrum_reaches_over_a_gap(kind: str, parameters: Any, span: int) -> None:
    made, cuts = chain(kind, **parameters), list(range(20, span, 40))
    assert results(made, sine(50), [20]) == []
    [(time, found)] = results(made, sine(span), cuts, 10 * RATE)
    assert time == nanos(10 * RATE)
    [(_, wanted)] = results(chain(kind, **parameters), sine(span), cuts)
    assert np.array_equal(found, wanted)
    assert dict(made.gauges(f"{kind}0"))["cut_samples"] == 50


def test_an_average_of_epochs_goes_on_with_their_whole_segments() -> None:
    parameters = {"window": [1.0] * 32, "step": 16, "averages": 4}
    made = chain("welch", **parameters, epochs=1)
    assert results(made, sine(50), []) == []
    [(time, found)] = results(made, sine(50), [], 10 * RATE)
    assert time == nanos(0)
    [(_, wanted)] = results(chain("welch", **parameters), sine(80), [40])
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-9)
    assert made.gauges("welch0") == [("cut_samples", 2.0), ("waiting_samples", 2.0)]
    assert results(chain("welch", **parameters), sine(50), []) == []


def test_filters_go_on_over_a_gap_and_count_it() -> None:
    made = core.Chain(
        2,
        64,
        (RATE, 1),
        [("sos", {"sos": [1, 0, 0, 1, -0.5, 0]}), ("envelope", {"sos": [1, 0, 0, 1, -0.5, 0]})],
        kind="voltage",
    )
    results(made, sine(128), [64])
    results(made, sine(64), [], 10 * RATE)
    assert made.gauges("sos0") == made.gauges("envelope1") == [("gaps", 1.0)]
