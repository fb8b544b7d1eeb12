"""An ADS1299 as a source: raw counts with volts a count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringdaq.instruments.capabilities import SampleProducer
from ringdaq.instruments.driver import Site as Bench
from ringdaq.instruments.drivers.ads1299 import Ads1299Options, build
from ringdaq.pipeline.parts import Site
from ringdaq.pipeline.sources.instrument import InstrumentSource


class Ads1299Source(InstrumentSource):
    """A real chip at the end of a link, or a simulated one that is marked so."""

    connects = True

    class Options(Ads1299Options):
        """Of an `ads1299`."""

        simulated: bool = False
        """A chip that is made up, in the place of a link."""

    def __init__(self, options: Options, site: Site) -> None:
        super().__init__()
        self._options, self._site = options, site

    def _make(self) -> tuple[SampleProducer, float]:
        bench = Bench(
            name=self._site.stage,
            simulated=self._options.simulated,
            share=_alone,
            follow=_alone,
            resolve=Path,
        )
        return build(bench, self._options), self._options.block_secs


def _alone(*names: Any) -> Any:
    raise AssertionError(f"an ADS1299 shares and follows nothing; asked for {names}")
