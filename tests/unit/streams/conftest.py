"""Specs and rings for the tests of the ring room."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

MakeWriter = Callable[..., StreamWriter]


@pytest.fixture
def rows_spec() -> StreamSpec:
    return StreamSpec(
        "meter",
        "rows",
        (
            Channel("power", "float64", "mW", scale=2.0, description="of the spot"),
            Channel("count", "int16"),
            Channel("good", "bool"),
            Channel("note", "string"),
        ),
        metadata={"place": "table 1"},
    )


@pytest.fixture
def scalar_spec() -> StreamSpec:
    return StreamSpec("scalar", "rows", (Channel("x", "int64"),))


@pytest.fixture
def samples_spec() -> StreamSpec:
    channels = tuple(Channel(f"c{i}", "int32", "uV", scale=0.5) for i in range(4))
    return StreamSpec("eeg", "samples", channels, Fraction(1000, 3))


@pytest.fixture
def frames_spec() -> StreamSpec:
    return StreamSpec(
        "camera",
        "frames",
        (Channel("image", "uint16", shape=(4, 6)), Channel("exposure", "float32", "s")),
    )


@pytest.fixture
def make_writer(tmp_path: Path) -> Iterator[MakeWriter]:
    made: list[StreamWriter] = []

    def make(spec: StreamSpec, capacity_bytes: int = 1 << 20) -> StreamWriter:
        made.append(StreamWriter.create(tmp_path, spec, capacity_bytes=capacity_bytes))
        return made[-1]

    yield make
    for writer in made:
        writer.close()
