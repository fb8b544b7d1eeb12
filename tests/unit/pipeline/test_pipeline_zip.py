"""Two sources with clocks of their own, put side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

RATE, SAMPLES, TIMEOUT = 250, 250, 30.0
PERIOD = 1 / RATE


@contextmanager
def zipped(
    second_rate: int = RATE, second_channels: int = 2, **parameters: Any
) -> Iterator[core.Pipeline]:
    """Feeds `a` of 3 channels and `b`, zipped in `ab` and handed out in `out`."""
    pipeline = core.Pipeline()
    pipeline.feed("a", "voltage", 3, SAMPLES, (RATE, 1))
    pipeline.feed("b", "voltage", second_channels, SAMPLES, (second_rate, 1))
    pipeline.stage("ab", "zip", parameters)
    pipeline.tap("out")
    pipeline.connect("a", "ab")
    pipeline.connect("b", "ab", carries="second")
    pipeline.connect("ab", "out", capacity=64)
    pipeline.start()
    try:
        yield pipeline
    finally:
        assert pipeline.stop(TIMEOUT)


class Board:
    """A source that knows the true time of each sample, and tells it in all of its channels."""

    def __init__(self, channels: int, rate: int = RATE, ppm: float = 0.0, jitter: float = 0.0):
        self._channels, self._ppm, self._jitter = channels, ppm, jitter
        self._period = 1 / (rate * (1 + ppm * 1e-6))
        self._random = np.random.default_rng(channels)

    def write(self, pipeline: core.Pipeline, feed: str, packet: int) -> None:
        places = packet * SAMPLES + np.arange(SAMPLES)
        times = places * self._period
        block = np.repeat(times[:, None], self._channels, axis=1).astype(np.float32)
        late = self._random.uniform(-self._jitter, self._jitter)
        if self._ppm == 0 and self._jitter == 0:
            pipeline.write(feed, block, origin_nanos=0, first_sample=int(places[0]))
        else:
            pipeline.write(feed, block, origin_nanos=int((times[0] + late) * 1e9))


def rest(pipeline: core.Pipeline) -> list[Any]:
    """All packets that are left, with their first time."""
    found = []
    while True:
        try:
            packet = pipeline.read_tap("out", TIMEOUT)
        except core.EndOfStreamError:
            return found
        assert isinstance(packet, core.Packet)
        found.append((packet.sample_timestamp(0), np.asarray(packet).copy()))


def ready(pipeline: core.Pipeline) -> list[Any]:
    """The packets that wait now."""
    found = []
    while (packet := pipeline.read_tap("out", 0.0)) is not None:
        assert isinstance(packet, core.Packet)
        found.append((packet.sample_timestamp(0), np.asarray(packet).copy()))
    return found


def both(pipeline: core.Pipeline, a: Board, b: Board, packets: range, lost: set[int]) -> list[Any]:
    """Write packets of both, but for those of `b` that are lost; what came out."""
    found = []
    for packet in packets:
        a.write(pipeline, "a", packet)
        if packet not in lost:
            b.write(pipeline, "b", packet)
        found += ready(pipeline)
    assert pipeline.drain(TIMEOUT)
    return found + rest(pipeline)


def test_clocks_that_drift_stay_within_a_sample_for_an_hour() -> None:
    with zipped() as pipeline:
        a, b = Board(3), Board(2, ppm=60.0, jitter=1e-3)
        found = both(pipeline, a, b, range(3_600), set())
        rows = np.vstack([rows for _, rows in found])
        assert rows.shape[1] == 5
        # Without the drift, the clocks would be 54 samples apart at the end.
        apart = np.abs(rows[:, 0] - rows[:, 3]) / PERIOD
        assert apart.max() < 1
        assert len(rows) > 3_598 * SAMPLES
        figures = dict(pipeline.gauges("ab"))
        assert figures["drift_ppm"] == pytest.approx(60, abs=2)
        assert figures["missing_second"] <= SAMPLES


def test_times_and_channels_are_those_of_their_sources() -> None:
    with zipped() as pipeline:
        found = both(pipeline, Board(3), Board(2), range(10), set())
        for time_nanos, rows in found:
            assert rows[0, 0] == pytest.approx(time_nanos / 1e9, abs=1e-6)
            assert np.array_equal(rows[:, :3], np.repeat(rows[:, :1], 3, axis=1))
        rows = np.vstack([rows for _, rows in found])
        assert np.array_equal(rows[:, 0], rows[:, 4])
        assert len(rows) == 10 * SAMPLES


def test_what_one_side_loses_is_left_out_and_counted() -> None:
    with zipped() as pipeline:
        found = both(pipeline, Board(3), Board(2), range(20), {5, 6, 11})
        rows = np.vstack([rows for _, rows in found])
        assert dict(pipeline.gauges("ab"))["missing_second"] == 3 * SAMPLES
        assert len(rows) == 17 * SAMPLES
        assert np.array_equal(rows[:, 0], rows[:, 3])
        seconds = set(np.floor(rows[:, 0] + 1e-5).astype(int).tolist())
        assert seconds == set(range(20)) - {5, 6, 11}


def test_a_gap_that_passes_for_jitter_shows_in_how_far_a_side_is_astray() -> None:
    with zipped() as pipeline:
        block = np.zeros((SAMPLES, 2), np.float32)
        for packet in range(10):
            late = 40 if packet >= 6 else 0
            nanos = (packet * SAMPLES + late) * 4_000_000
            pipeline.write("b", block, origin_nanos=nanos)
            pipeline.write("a", np.zeros((SAMPLES, 3), np.float32), packet * 10**9)
        assert pipeline.drain(TIMEOUT)
        figures = dict(pipeline.gauges("ab"))
        assert (figures["missing_second"], figures["astray_first"]) == (0, 0)
        assert 1 < figures["astray_second"] <= 40


def test_a_side_that_goes_silent_does_not_hold_the_other() -> None:
    with zipped(keep_secs=1.0) as pipeline:
        found = both(pipeline, Board(3), Board(2), range(20), set(range(10, 20)))
        assert sum(len(rows) for _, rows in found) == 10 * SAMPLES
        # What is kept may still find its partner, and is not given up.
        kept = SAMPLES + 2 * SAMPLES
        assert dict(pipeline.gauges("ab"))["missing_second"] == 10 * SAMPLES - kept


def test_rates_may_differ() -> None:
    with zipped(second_rate=1_000) as pipeline:
        a, b = Board(3), Board(2, rate=1_000)
        found = []
        for packet in range(8):
            a.write(pipeline, "a", packet)
            for part in range(4):
                b.write(pipeline, "b", 4 * packet + part)
            found += ready(pipeline)
        assert pipeline.drain(TIMEOUT)
        rows = np.vstack([rows for _, rows in found + rest(pipeline)])
        assert len(rows) == 8 * SAMPLES
        assert np.abs(rows[:, 0] - rows[:, 3]).max() < 1e-6


def test_a_zip_needs_two_inputs_and_others_take_one() -> None:
    pipeline = core.Pipeline()
    pipeline.feed("a", "voltage", 3, SAMPLES, (RATE, 1))
    pipeline.stage("ab", "zip", {})
    pipeline.connect("a", "ab")
    with pytest.raises(core.InvalidError, match="two sources are needed"):
        pipeline.start()
    pipeline = core.Pipeline()
    pipeline.feed("a", "voltage", 3, SAMPLES, (RATE, 1))
    pipeline.feed("b", "voltage", 3, SAMPLES, (RATE, 1))
    pipeline.stage("ab", "pass", {})
    pipeline.connect("a", "ab")
    pipeline.connect("b", "ab", carries="second")
    with pytest.raises(core.InvalidError, match="one input, not two"):
        pipeline.start()
