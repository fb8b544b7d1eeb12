"""Epochs around triggers and markers, whatever comes late, overlaps or is cut by a gap."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

from ringdaq.errors import ClosedStreamError
from ringdaq.pipeline.feeding import CoreFeed

RATE, CHANNELS, SAMPLES = 250, 3, 10
PERIOD = 4_000_000


def block(first: int, samples: int = SAMPLES) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Each sample tells its place and its channel."""
    places = np.arange(first, first + samples)[:, None]
    return (places * 10 + np.arange(CHANNELS)).astype(np.float32)


def chain(**parameters: Any) -> core.Chain:
    return core.Chain(CHANNELS, SAMPLES, (RATE, 1), [("epoch", parameters)], kind="voltage")


def run(made: core.Chain, first: int) -> list[Any]:
    """The epochs that a packet completes: time of the first sample, places of all."""
    found = []
    packet = made.run(block(first), origin_nanos=500, first_sample=first)
    while packet is not None:
        array = np.asarray(packet)
        assert array.shape[1] == CHANNELS
        assert np.array_equal(array, block(round(array[0, 0] / 10), len(array)))
        found.append((packet.sample_timestamp(0), (array[:, 0] / 10).tolist()))
        del array
        packet = made.more()
    return found


def time_of(sample: int) -> int:
    return 500 + sample * PERIOD


def test_an_epoch_begins_before_its_marker_and_tells_when() -> None:
    made = chain(before=3, after=5)
    made.mark(time_of(14))
    assert run(made, 0) == []
    assert run(made, 10) == [(time_of(11), list(range(11, 19)))]


def test_overlapping_epochs_all_come() -> None:
    made = chain(before=2, after=2)
    for sample in (5, 6, 6, 7):
        made.mark(time_of(sample))
    assert [places[0] for _, places in run(made, 0)] == [3, 4, 4, 5]
    assert made.gauges("epoch0") == [("lost", 0.0)]


def test_a_late_marker_finds_its_samples_as_long_as_they_are_kept() -> None:
    made = chain(before=2, after=2, late=20)
    for first in range(0, 40, 10):
        run(made, first)
    made.mark(time_of(15))
    made.mark(time_of(5))
    packet = made.more()
    assert packet is not None
    assert packet.sample_timestamp(0) == time_of(13)
    assert made.more() is None
    assert made.gauges("epoch0") == [("lost", 1.0)]


def test_what_a_gap_cuts_is_lost_and_counted() -> None:
    made = chain(before=3, after=3)
    run(made, 0)
    made.mark(time_of(9))
    made.mark(time_of(31))
    made.mark(time_of(36))
    assert run(made, 30) == [(time_of(33), list(range(33, 39)))]
    assert made.gauges("epoch0") == [("lost", 2.0)]


def test_only_a_channels_triggers_count_where_one_is_named() -> None:
    made = chain(before=1, after=1, channel=2)
    made.mark(time_of(4), channel=1)
    made.mark(time_of(6), channel=2)
    assert [places[0] for _, places in run(made, 0)] == [5]


def test_more_markers_than_can_wait_are_counted() -> None:
    made = chain(before=1, after=1)
    for _ in range(300):
        made.mark(time_of(5))
    assert len(run(made, 0)) == 256
    assert made.gauges("epoch0") == [("lost", 44.0)]


def test_a_branchs_triggers_cut_epochs_out_of_another() -> None:
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, (RATE, 1))
    pipeline.stage("split", "pass", {})
    pipeline.stage("level", "threshold", {"channel": 0, "level": 255.0})
    pipeline.stage("cut", "epoch", {"before": 2, "after": 3, "late": 1_000})
    for name, kind in (("epochs", "packets"), ("crossings", "triggers")):
        pipeline.tap(name)
        pipeline.connect("cut" if name == "epochs" else "level", name, 64, carries=kind)
    pipeline.connect("in", "split")
    pipeline.connect("split", "level")
    pipeline.connect("split", "cut", 64)
    pipeline.connect("level", "cut", 64, carries="triggers")
    pipeline.start()
    try:
        for first in range(0, 100, 10):
            pipeline.write("in", block(first), origin_nanos=500, first_sample=first)
        pipeline.mark("in", time_of(50))
        assert pipeline.drain(30.0)
        found = []
        while True:
            try:
                packet = pipeline.read_tap("epochs", 30.0)
            except core.EndOfStreamError:
                break
            assert isinstance(packet, core.Packet)
            found.append(packet.sample_timestamp(0))
        assert sorted(found) == [time_of(24), time_of(48), time_of(48)]
        crossing = pipeline.read_tap("crossings", 30.0)
        assert isinstance(crossing, tuple)
        assert crossing[0] == time_of(26)
    finally:
        assert pipeline.stop(30.0)


def test_a_sources_markers_follow_its_blocks() -> None:
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, (RATE, 1))
    pipeline.stage("cut", "epoch", {"before": 1, "after": 2})
    pipeline.tap("out")
    pipeline.connect("in", "cut")
    pipeline.connect("cut", "out", carries="packets")
    pipeline.start()
    try:
        feed = CoreFeed(pipeline, "in", threading.Event())
        feed.mark(time_of(5), value=7.0)
        feed.write(block(0), 500, 0)
        packet = pipeline.read_tap("out", 30.0)
        assert isinstance(packet, core.Packet)
        assert packet.sample_timestamp(0) == time_of(4)
        del packet
        assert pipeline.drain(30.0)
        with pytest.raises(ClosedStreamError, match="the pipeline has ended"):
            feed.mark(time_of(6))
        assert feed.refused == 1
    finally:
        assert pipeline.stop(30.0)


def test_an_epoch_of_nothing_is_refused() -> None:
    with pytest.raises(core.InvalidError, match="a sample before or after"):
        chain(before=0, after=0)
