"""A ring holds the minutes that it was asked for, however short its records are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from graph_stand import SINK, SOURCE, running, wait_until

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

RATE, RECORD = 1000, 10


@pytest.mark.parametrize("channels", [1, 16])
def test_records_that_are_shorter_than_packets_may_be(tmp_path: Path, channels: int) -> None:
    names = tuple(Channel(f"c{n}", "float32") for n in range(channels))
    spec = StreamSpec("raw", "samples", names, sample_rate=Fraction(RATE))
    records = 3200
    with (
        StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 22) as writer,
        running(SOURCE.replace("50", "400") + SINK + "minutes = 0.5\n", tmp_path) as built,
        StreamReader.open(built.rings["out"]) as reader,
    ):
        for record in range(records):
            writer.write_block(record * 10**7, np.zeros((RECORD, channels), np.float32))
        wait_until(lambda: reader.next_sequence == records)
        assert reader.statistics().held_rows >= 0.5 * 60 * RATE
