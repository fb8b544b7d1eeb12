"""A recorded EDF or BDF file as a source, played as if it were measured now."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction

from pydantic import Field

from ringdaq.config import nearest
from ringdaq.instruments.capabilities import SampleProducer
from ringdaq.instruments.drivers.edf_file import EdfFile, open_edf
from ringdaq.instruments.drivers.edf_replay import EdfReplay, EdfReplayOptions
from ringdaq.model import StreamSpec
from ringdaq.pipeline.parts import RefusedError, Site
from ringdaq.pipeline.sources.instrument import InstrumentSource


class EdfReplaySource(InstrumentSource):
    """The signals of one sample rate, all or some.

    Raw packets where all have one scale in volts and no offset; volts otherwise, and a signal that
    is no voltage keeps its unit.
    """

    class Options(EdfReplayOptions):
        """Of an `edf_replay`."""

        channels: list[str] = Field(default_factory=list)
        """Which signals by name; without it, all."""
        recorded_rate_hz: float | None = Field(default=None, gt=0)
        """Which signals of a file with several rates."""
        markers: list[str] = Field(default_factory=list)
        """Annotations by their text, each a trigger at its sample; `["*"]` is all of them."""

    def __init__(self, options: Options, site: Site) -> None:
        super().__init__()
        self._options, self._site = options, site
        self._file: EdfFile | None = None
        self._marked: list[int] = []
        self._total = 1

    def _make(self) -> tuple[SampleProducer, float]:
        self._file = open_edf(self._site.resolve(self._options.file))
        return EdfReplay(self._site.stage, self._options, self._file), self._options.block_secs

    def _channels(self) -> Sequence[str]:
        return self._options.channels

    def _choose(self, specs: Sequence[StreamSpec]) -> StreamSpec:
        wanted = self._options.recorded_rate_hz
        rates = [Fraction(spec.metadata["recorded_rate_hz"]) for spec in specs]
        found = [
            spec
            for spec, rate in zip(specs, rates, strict=True)
            if wanted is None or rate == Fraction(str(wanted))
        ]
        if len(found) != 1:
            raise RefusedError(
                f"a source has one sample rate; the file has signals of "
                f"{', '.join(map(str, rates))} Hz: choose one by recorded_rate_hz",
                "recorded_rate_hz",
            )
        self._find_marks(specs.index(found[0]))
        return found[0]

    def _find_marks(self, place: int) -> None:
        """The rows of one of the file's groups at which something was noted that is wanted."""
        assert self._file is not None
        wanted, group = self._options.markers, self._file.groups[place]
        texts = {text for _, text in self._file.annotations}
        for text in wanted:
            if text != "*" and text not in texts:
                raise RefusedError(f"no annotation {text!r}; {nearest(text, texts)}", "markers")
        rows = (
            round(onset * group.rate)
            for onset, text in self._file.annotations
            if text in wanted or "*" in wanted
        )
        self._total = group.total
        self._marked = sorted(row for row in rows if 0 <= row < group.total)

    def _marks(self, first: int, rows: int) -> Iterator[int]:
        """As played: after the file's last row comes its first."""
        for turn in range(first // self._total, (first + rows - 1) // self._total + 1):
            begin = turn * self._total
            low = bisect_left(self._marked, first - begin)
            high = bisect_left(self._marked, first + rows - begin)
            yield from (begin + row for row in self._marked[low:high])
