"""What tests of sources and sinks share: a feed that keeps, and views of real packets."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import ringdaq_core as core

from ringdaq.model import Channel
from ringdaq.pipeline import EegDataView, PacketFormat
from ringdaq.pipeline.parts import Site

T0 = 1_700_000_000_123_456_789


class ListFeed:
    """Keeps what a source hands in; the pipeline ends after `enough` samples."""

    def __init__(self, enough: int = 1 << 60) -> None:
        self.blocks: list[Any] = []
        self.places: list[tuple[int, int]] = []
        self.marks: list[tuple[int, int, float]] = []
        self._enough = enough
        self._ended = threading.Event()

    @property
    def stopping(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout_secs: float) -> bool:
        return self._ended.wait(timeout_secs)

    def write(self, block: Any, origin_nanos: int, first_sample: int = 0) -> None:
        self.blocks.append(np.array(block))
        self.places.append((origin_nanos, first_sample))
        if sum(map(len, self.blocks)) >= self._enough:
            self._ended.set()

    def mark(self, time_nanos: int, channel: int = 0, value: float = 0.0) -> None:
        self.marks.append((time_nanos, channel, value))

    def stop(self) -> None:
        self._ended.set()

    @property
    def samples(self) -> Any:
        return np.concatenate(self.blocks)

    def times(self, rate: Fraction) -> list[int]:
        """Each sample's time, as the pipeline reckons it."""
        return [
            origin + int((first + row) * 10**9 / rate)
            for (origin, first), block in zip(self.places, self.blocks, strict=True)
            for row in range(len(block))
        ]


def site(folder: Path = Path("/nowhere"), stage: str = "stage") -> Site:
    return Site(stage, "test", folder, folder)


def form(
    kind: Any = "voltage",
    *,
    channels: int = 3,
    samples: int = 8,
    rate: Fraction = Fraction(250),
    scale: float = 1.0,
    offset: float = 0.0,
    unit: str = "V",
    **more: Any,
) -> PacketFormat:
    dtype = "int32" if kind == "raw" else "float32"
    names = [
        Channel(f"E{n + 1}", dtype, unit=unit, scale=scale, offset=offset) for n in range(channels)
    ]
    return PacketFormat(kind, tuple(names), samples, rate, **more)


def view(
    values: Any, format: PacketFormat, origin_nanos: int = T0, first_sample: int = 0
) -> EegDataView:
    """A real packet with these values [samples, channels], frozen."""
    rows, channels = np.shape(values)
    packet = core.Pool(channels, rows, 1).try_acquire()
    assert packet is not None
    rate = (format.rate.numerator, format.rate.denominator)
    packet.set_header(format.kind, channels, rows, origin_nanos, first_sample, rate, 0)
    np.asarray(packet)[:] = values
    packet.freeze()
    return EegDataView(packet, format)
