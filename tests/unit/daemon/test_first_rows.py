"""Rows that several threads put into the same stream."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ringdaq.config import parse_rig
from ringdaq.daemon.publish import Publisher
from ringdaq.model import Channel, StreamSpec

PATIENCE_SECS = 30.0
THREADS = 8
STREAMS = 100


@pytest.fixture
def publisher(tmp_path, ring_directory):
    rig = parse_rig('[rig]\nname = "rows"\n', tmp_path / "rig.toml")
    publisher = Publisher(rig, ring_directory)
    yield publisher
    publisher.close()


@pytest.fixture
def often_switched():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_first_rows_of_a_stream_may_come_from_several_threads(publisher, often_switched):
    together = threading.Barrier(THREADS)

    def put(stream, value):
        together.wait(PATIENCE_SECS)
        publisher.put_row(stream, (float(value),))

    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(STREAMS):
            spec = StreamSpec(f"stage{number}", "rows", (Channel("position", "float64"),))
            writer = publisher.open(spec, 1 << 16)
            list(pool.map(put, [spec.name] * THREADS, range(THREADS), timeout=PATIENCE_SECS))
            assert writer.statistics().rows == THREADS
