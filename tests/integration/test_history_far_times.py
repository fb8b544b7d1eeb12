"""History at the ends of time, and at rates that only large fractions tell."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ringdaq.gateway.history import HistoryDesk
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.history import SourceHistory
from ringdaq.streams.history_source import RingSource

START = 1_700_000_000_000_000_000
LATEST = 2**63 - 1


def test_a_query_may_reach_to_any_time(ring_directory):
    spec = StreamSpec("meter", "rows", (Channel("x", "float64", "W"),))
    desk = HistoryDesk(ring_directory, lambda: None)
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 16) as writer:
        for n in range(10):
            writer.append(START + n, float(n))
        for since, until in ((-(2**63) - 1, LATEST), (-(2**80), 2**80), (None, LATEST)):
            found = desk.query("meter", since, until)
            assert found.values("x").tolist() == list(range(10))
            assert found.gaps == []
        history = SourceHistory(RingSource(StreamReader.open(writer.path)))
        assert history.between(-(2**63) - 1, LATEST) == (0, 10)
        assert history.between(LATEST, LATEST + 1) == (10, 10)
    desk.close()


@pytest.mark.parametrize("bin_rows", [1, 64])
def test_samples_at_a_rate_of_a_large_fraction_have_their_times(ring_directory, bin_rows):
    spec = StreamSpec("slow", "samples", (Channel("x", "int16"),), Fraction(1 / 3))
    period = round(1_000_000_000 / (1 / 3))
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 20) as writer:
        for n in range(4):
            writer.write_block(START + n * 32 * period, np.full((32, 1), n, np.int16))
        history = SourceHistory(RingSource(StreamReader.open(writer.path)))
        assert history.between(START + period, START + 100 * period) == (1, 101)
        rows = history.rows(0, 128)
        assert np.abs(rows.times - START - np.arange(128) * period).max() <= 1
        fold, holes = history.fold(0, 128, bin_rows)
        assert np.array_equal(fold.first_nanos, rows.times[::bin_rows])
        assert holes == []
