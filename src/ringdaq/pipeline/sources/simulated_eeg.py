"""Simulated EEG as a source: counts of a 24-bit converter, at an exact rate."""

from __future__ import annotations

from typing import Literal

from ringdaq.instruments.capabilities import SampleProducer
from ringdaq.instruments.sim.eeg import EegOptions, SimulatedEeg
from ringdaq.pipeline.parts import Site
from ringdaq.pipeline.sources.instrument import InstrumentSource


class SimulatedEegSource(InstrumentSource):
    """Rhythms by site, mains hum and noise; made up, and marked so."""

    class Options(EegOptions):
        """Of a `simulated_eeg`."""

        dtype: Literal["float32", "int32"] = "int32"
        """`int32`: raw packets, counts of an ADS1299 at gain 24. `float32`: volts."""

    def __init__(self, options: Options, site: Site) -> None:
        super().__init__()
        self._options, self._site = options, site

    def _make(self) -> tuple[SampleProducer, float]:
        return SimulatedEeg(self._site.stage, self._options), self._options.block_secs
