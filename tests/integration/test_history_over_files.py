"""History out of recorded files: any number of them, one line."""

from __future__ import annotations

import numpy as np
import pytest
from history_stand import HistoryStand

from ringdaq.gateway.history_files import MAX_OPEN
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

START = 1_700_000_000_000_000_000
STEP = 1_000_000
METER = StreamSpec("meter", "rows", (Channel("x", "float64", "W"),))


@pytest.fixture
def stand(ring_directory, tmp_path):
    made = HistoryStand(ring_directory, tmp_path)
    yield made
    made.close()


def test_a_query_reaches_over_more_files_than_stay_open(stand, ring_directory):
    count, rows = MAX_OPEN + 3, 20
    times = START + np.arange(count * rows) * STEP
    with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 20) as writer:
        for n, time in enumerate(times):
            writer.append(int(time), float(n))
        for n in range(count):
            stand.save(writer, f"r{n:02d}", n * rows, (n + 1) * rows)
    writer.path.unlink()
    for _ in range(2):  # the second time some of them are open already
        exact = stand.desk.query("meter", START)
        assert np.array_equal(exact.times, times)
        assert np.array_equal(exact.values("x"), np.arange(len(times)))
        folded = stand.desk.query("meter", START, max_points=100)
        assert folded.rows == len(times)
        assert (folded.low("x").min(), folded.high("x").max()) == (0, len(times) - 1)
