"""A chain's results are records like any other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamReader
from ringdaq.streams.layout import Layout


def samples_spec(channels: int, dtype: str = "float32") -> StreamSpec:
    names = tuple(Channel(f"c{i}", dtype) for i in range(channels))
    return StreamSpec("filtered", "samples", names, sample_rate=Fraction(4_000))


def ring(directory: Path, spec: StreamSpec) -> tuple[Path, core.Schema, int]:
    rings = RingDirectory(directory)
    rings.make()
    return rings.next_path(spec.name), Layout.from_spec(spec).schema, 1 << 20


@pytest.mark.parametrize("channels", [5, 32])
@pytest.mark.parametrize("stages", [[], [("sos", {"sos": [[2, 0, 0, 1, 0, 0]]})]])
def test_samples_are_published_byte_for_byte(
    tmp_path: Path, channels: int, stages: list[Any]
) -> None:
    spec = samples_spec(channels)
    place = ring(tmp_path, spec)
    chain = core.Chain(channels, 40, (4_000, 1), stages, kind="voltage", ring=place)
    block = np.arange(40 * channels, dtype=np.float32).reshape(40, channels)
    chain.run(block, origin_nanos=1_000_000, first_sample=4)
    factor = 2 if stages else 1
    with StreamReader.open(place[0]) as reader:
        record = reader.read(0)
        found = record.to_numpy()["samples"]
        assert found.tolist() == (block * factor).tolist()
        assert record.times()[[0, -1]].tolist() == [2_000_000, 2_000_000 + 39 * 250_000]


def test_a_spectrum_is_a_frame(tmp_path: Path) -> None:
    image = Channel("power", "float32", shape=(257, 32))
    spec = StreamSpec("spectrum", "frames", (image,))
    place = ring(tmp_path, spec)
    stages: list[Any] = [("rfft", {"length": 512, "samples": 400, "output": "power"})]
    block = np.random.default_rng(2).normal(0, 1, (400, 32)).astype(np.float32)
    wanted = np.asarray(core.Chain(32, 400, (4_000, 1), stages, kind="voltage").run(block))
    chain = core.Chain(32, 400, (4_000, 1), stages, kind="voltage", ring=place)
    chain.run(block, origin_nanos=5_000)
    with StreamReader.open(place[0]) as reader:
        record = reader.read(0)
        assert np.array_equal(record.to_numpy()["power"].reshape(257, 32), wanted)


def test_packets_that_are_no_records_of_the_ring_are_refused(tmp_path: Path) -> None:
    with pytest.raises(core.InvalidError, match="the ring takes"):
        core.Chain(4, 40, (4_000, 1), [], kind="voltage", ring=ring(tmp_path, samples_spec(5)))
    with pytest.raises(core.InvalidError, match="the ring takes"):
        core.Chain(5, 40, (4_000, 1), [], kind="raw", ring=ring(tmp_path, samples_spec(5)))
