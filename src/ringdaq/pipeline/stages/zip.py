"""Two sources with clocks of their own, side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts

Span = Annotated[float, Field(gt=0, le=3600)]
MOST_ROWS = 1_000_000
"""Samples of a source that may wait."""


class Zip(Transform):
    """Puts beside each sample of the first the one of the second that was taken nearest to it.

    Both clocks are fitted, so that drift does not add up; rows without a partner are left out and
    counted.
    """

    stamps: Literal["packets", "arrival"] = "packets"
    """What tells when a sample was taken: the packets' times, or when they came in."""
    keep_secs: Span = 2.0
    """How long a sample waits for its partner."""
    memory_secs: Span = 60.0
    """Over how long the clocks are fitted."""
    second_prefix: str = ""
    """Put before the names of the second's channels."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:
        """The core's `zip`."""
        assert site.second is not None
        for form in (given, site.second):
            need_volts(form)
            if self.keep_secs * form.rate > MOST_ROWS:
                raise RefusedError(
                    f"{self.keep_secs:g} s at {form.rate} Hz are more than {MOST_ROWS} samples",
                    "keep_secs",
                )
        second = [replace(c, name=f"{self.second_prefix}{c.name}") for c in site.second.channels]
        channels = (*given.channels, *second)
        names = [channel.name for channel in channels]
        both = sorted({name for name in names if names.count(name) > 1})
        if both:
            raise RefusedError(
                f"channels of both are called {', '.join(both)}; write a second_prefix",
                "second_prefix",
            )
        simulated = given.simulated or site.second.simulated
        output = replace(given, channels=channels, simulated=simulated)
        parameters = self.model_dump(exclude={"second_prefix"})
        return Planned((CoreStage("zip", parameters),), output)
