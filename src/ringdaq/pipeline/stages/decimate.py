"""One of so many samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ringdaq.pipeline.parts import PacketFormat, Site
from ringdaq.pipeline.stages.filters import to_rows
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts


class Decimate(Transform):
    """Keeps one of so many samples, after a low-pass that keeps higher frequencies from folding."""

    factor: Annotated[int, Field(ge=2, le=10_000)]
    """How many samples become one."""
    antialias: bool = True
    """Whether to filter first: Chebyshev of order 8, to 0.8 of half the new rate."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `sos` and `decimate`."""
        need_volts(given)
        samples = -(-given.samples // self.factor)
        output = replace(given, samples=samples, rate=given.rate / self.factor)
        stages = (CoreStage("decimate", {"factor": self.factor}),)
        if not self.antialias:
            return Planned(stages, output)
        return Planned((self._filter(), *stages), replace(output, kind="filtered"))

    def _filter(self) -> CoreStage:
        from scipy import signal

        sos = to_rows(signal.cheby1(8, 0.05, 0.8 / self.factor, output="sos"))
        return CoreStage("sos", {"sos": sos, "state": "f64"})
