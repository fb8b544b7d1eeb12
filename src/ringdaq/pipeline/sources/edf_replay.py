"""A recorded EDF or BDF file as a source, played as if it were measured now."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pydantic import Field

from ringdaq.instruments.capabilities import SampleProducer
from ringdaq.instruments.drivers.edf_file import open_edf
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

    def __init__(self, options: Options, site: Site) -> None:
        super().__init__()
        self._options, self._site = options, site

    def _make(self) -> tuple[SampleProducer, float]:
        file = open_edf(self._site.resolve(self._options.file))
        return EdfReplay(self._site.stage, self._options, file), self._options.block_secs

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
        return found[0]
