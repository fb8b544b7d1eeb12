"""Stamps that go astray while the samples go on, and a reader that the writer laps."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import ringdaq_core as core

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

START = 1_700_000_000_000_000_000
TIMEOUT = 30.0


def test_epochs_are_whole_where_stamps_have_jitter_but_the_samples_go_on() -> None:
    """As a ring gives them whose records' times go astray: the origin moves, the place goes on."""
    made = core.Chain(1, 20, (1_000, 1), [("epoch", {"before": 30, "after": 30})], kind="voltage")
    random = np.random.default_rng(1)
    wanted, found = [], []
    for packet in range(100):
        origin = START + int(random.integers(-1_500_000, 1_500_000))
        places = np.arange(packet * 20, packet * 20 + 20, dtype=np.float32)[:, None]
        if packet % 10 == 5:
            made.mark(origin + (packet * 20 + 7) * 1_000_000)
            wanted.append(packet * 20 + 7)
        left = made.run(places, origin, packet * 20)
        while left is not None:
            found.append(np.asarray(left)[:, 0].tolist())
            left = made.more()
    assert made.gauges("epoch0") == [("lost", 0.0)]
    assert found == [list(range(place - 30, place + 30)) for place in wanted]


def test_a_reader_that_is_lapped_inside_a_record_counts_each_row_once(tmp_path: Path) -> None:
    spec = StreamSpec("raw", "samples", (Channel("c", "float32"),), sample_rate=Fraction(250))
    block = np.zeros((100, 1), np.float32)
    held, go, seen = threading.Event(), threading.Event(), list[int]()

    def count(packet: core.Packet) -> None:
        seen.append(packet.header[2])
        if len(seen) == 3:
            held.set()
            assert go.wait(TIMEOUT)

    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 16) as writer:
        pipeline = core.Pipeline()
        pipeline.ring_source("raw", writer.path, 10, (250, 1))
        pipeline.stage("count", "python", {"call": count})
        pipeline.connect("raw", "count")
        pipeline.start()
        try:
            for record in range(300):
                writer.write_block(START + record * 400_000_000, block)
                if record == 0:
                    assert held.wait(TIMEOUT)
            go.set()
            assert pipeline.drain(TIMEOUT)
            lost = pipeline.statistics()[3][0][2][3]
            assert lost > 0
            assert sum(seen) + lost == 300 * 100
        finally:
            go.set()
            assert pipeline.stop(TIMEOUT)
