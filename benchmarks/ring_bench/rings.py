"""The streams that are measured."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

MIB = 1 << 20
SCALAR = StreamSpec("scalar", "rows", (Channel("value", "float64", unit="W"),))
EEG = StreamSpec(
    "eeg",
    "samples",
    tuple(Channel(f"ch{i}", "float32", unit="uV") for i in range(32)),
    sample_rate=Fraction(4000),
)
"""A block of 400 rows is 51.2 KB."""
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(2048, 2048)),))
"""A frame is 8 MiB."""


def record_bytes(writer: StreamWriter) -> int:
    """Bytes that a record takes in the ring, framing included."""
    found = writer.statistics()
    return found.used_bytes // max(1, found.next_sequence - found.oldest_sequence)


def make(directory: Path, spec: StreamSpec, capacity_bytes: int) -> StreamWriter:
    """A ring of a stream."""
    return StreamWriter.create(directory, spec, capacity_bytes=capacity_bytes)
