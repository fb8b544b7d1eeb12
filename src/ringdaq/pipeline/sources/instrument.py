"""What sources share that are instruments: one stream of theirs becomes packets."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.config import nearest
from ringdaq.instruments.capabilities import SampleProducer
from ringdaq.instruments.pacing import block_rows
from ringdaq.model import StreamSpec
from ringdaq.pipeline.parts import Feed, PacketFormat, RefusedError
from ringdaq.pipeline.sources.counts import Conversion, conversion
from ringdaq.pipeline.sources.time_line import TimeLine


class InstrumentSource(ABC):
    """One stream of a `SampleProducer`, on the thread of the source."""

    def __init__(self) -> None:
        self._producer: SampleProducer | None = None
        self._stream = ""
        self._conversion: Conversion | None = None
        self.line = TimeLine(Fraction(1), 0)
        """Where the samples lie, and what is missing."""

    @abstractmethod
    def _make(self) -> tuple[SampleProducer, float]:
        """The instrument, and how long its blocks are, in seconds."""

    def _choose(self, specs: Sequence[StreamSpec]) -> StreamSpec:
        """Which of its streams becomes the source."""
        return specs[0]

    def _channels(self) -> Sequence[str]:
        """Those that are taken; none is all."""
        return ()

    def _marks(self, first: int, rows: int) -> Iterable[int]:
        """Which of so many rows, the first of which has this number, are marked."""
        del first, rows
        return ()

    def format(self) -> PacketFormat:
        """Make the instrument, and say what its packets are."""
        self._producer, block_secs = self._make()
        spec = self._choose(self._producer.stream_specs())
        assert spec.sample_rate is not None
        self._stream = spec.name
        self._conversion = conversion(spec.channels, _places(spec, self._channels()))
        half_nanos = int(NANOS_PER_SEC / spec.sample_rate / 2)
        self.line = TimeLine(spec.sample_rate, tolerance_nanos=half_nanos)
        return PacketFormat(
            kind=self._conversion.kind,
            channels=self._conversion.channels,
            samples=block_rows(spec.sample_rate, block_secs),
            rate=spec.sample_rate,
            simulated=spec.simulated,
        )

    def run(self, feed: Feed) -> None:
        assert self._producer is not None
        assert self._conversion is not None
        sinks: dict[str, Any] = {spec.name: _Nowhere() for spec in self._producer.stream_specs()}
        sinks[self._stream] = _Door(feed, self._conversion, self.line, self._marks)
        self._producer.run(sinks, _FeedStop(feed))

    def statistics(self) -> dict[str, int]:
        """Gaps and lost samples so far."""
        return self.line.counts()

    def close(self) -> None:
        close = getattr(self._producer, "close", None)
        if close is not None:
            close()


class _Nowhere:
    """Where streams of other rates go."""

    def write_block(self, first_nanos: int, block: Any) -> int:
        del first_nanos, block
        return 0


class _Door:
    """The sink of an instrument that is a pipeline's feed."""

    def __init__(
        self,
        feed: Feed,
        convert: Conversion,
        line: TimeLine,
        marks: Callable[[int, int], Iterable[int]],
    ) -> None:
        self._feed, self._convert, self._line, self._marks = feed, convert, line, marks
        self._rows = 0

    def write_block(self, first_nanos: int, block: Any) -> int:
        rows = np.asarray(block)
        origin, at = self._line.place(first_nanos, len(rows))
        self._feed.write(self._convert(rows), origin, at)
        for row in self._marks(self._rows, len(rows)):
            later = Fraction(at + row - self._rows) / self._line.rate
            self._feed.mark(origin + int(later * NANOS_PER_SEC))
        self._rows += len(rows)
        return 0


class _FeedStop(threading.Event):
    """The end of a pipeline as the event that instruments look at."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed

    def is_set(self) -> bool:
        return self._feed.stopping

    def wait(self, timeout: float | None = None) -> bool:
        return self._feed.wait(60.0 if timeout is None else timeout)


def _places(spec: StreamSpec, channels: Sequence[str]) -> list[int] | None:
    known = [channel.name for channel in spec.channels]
    for name in channels:
        if name not in known:
            raise RefusedError(
                f"the source has no channel {name!r}; {nearest(name, known)}", "channels"
            )
    return [known.index(name) for name in channels] or None
