"""A stream to read, and graphs around it, for the tests of graphs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringdaq.config import parse_pipeline
from ringdaq.errors import ConfigError
from ringdaq.model import Channel, StreamSpec
from ringdaq.pipeline import Built, CheckedGraph, build, check
from ringdaq.streams import RingDirectory, StreamReader, StreamWriter

CHANNELS, SAMPLES, RATE = 4, 50, 250
SCALE = 1e-6
DEADLINE_SECS = 20.0

SOURCE = '[[stage]]\nname = "in"\ntype = "ring_source"\nstream = "raw"\nsamples = 50\n'
"""Five lines."""
VOLTS = '[[stage]]\nname = "volts"\ntype = "to_voltage"\n'
"""Three lines."""
SINK = '[[stage]]\nname = "out"\ntype = "ring_sink"\nstream = "out"\n'
"""Four lines."""


def stage(text: str) -> str:
    """A stage of `key = value; key = value`."""
    return "[[stage]]\n" + text.replace("; ", "\n") + "\n"


def raw_stream(directory: Path, name: str = "raw") -> StreamWriter:
    """A stream of counts, a microvolt each."""
    names = ("Fz", "Cz", "Pz", "Oz")
    channels = tuple(Channel(label, "int32", "uV") for label in names)
    spec = StreamSpec(name, "samples", channels, sample_rate=Fraction(RATE), simulated=True)
    return StreamWriter.create(directory, spec, capacity_bytes=1 << 22)


def graph_of(text: str, directory: Path) -> CheckedGraph:
    """A checked graph whose rings and files lie in a directory."""
    return check(parse_pipeline(text, directory / "graph.toml"), rings=directory)


def refusal(text: str, directory: Path) -> str:
    """What a graph is refused for."""
    with pytest.raises(ConfigError) as caught:
        graph_of(text, directory)
    return str(caught.value)


@contextmanager
def running(text: str, directory: Path) -> Iterator[Built]:
    """A graph that runs."""
    built = build(graph_of(text, directory))
    built.pipeline.start()
    try:
        yield built
    finally:
        assert built.pipeline.stop(DEADLINE_SECS)


def counts(packets: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """So many packets of counts, [samples, channels]."""
    random = np.random.default_rng(seed)
    return random.integers(-10_000, 10_000, (packets * SAMPLES, CHANNELS), dtype=np.int32)


def play(
    writer: StreamWriter, data: np.ndarray[Any, Any], begin_nanos: int = 1_000_000_000
) -> None:
    """Write counts packet by packet, at the stream's rate from a moment on."""
    for start in range(0, len(data), SAMPLES):
        nanos = begin_nanos + start * 1_000_000_000 // RATE
        writer.write_block(nanos, data[start : start + SAMPLES])


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def read_stream(directory: Path, stream: str, records: int) -> np.ndarray[Any, Any]:
    """So many records of a stream that is being written, one behind the other."""
    with StreamReader.open(RingDirectory(directory).newest(stream)) as reader:
        wait_until(lambda: reader.next_sequence >= records)
        found = [reader.read(sequence).to_numpy() for sequence in range(records)]
    return np.concatenate([next(v for k, v in one.items() if k != "time") for one in found])


def stage_figures(built: Built, name: str) -> tuple[list[int], str]:
    """Packets, errors, bypassed, dropped, restarts; and the last error."""
    row = next(row for row in built.pipeline.statistics()[0] if row[0] == name)
    return row[1][:5], row[3]
