"""Triggers where a channel crosses a level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ringdaq.pipeline.parts import PacketFormat, Site
from ringdaq.pipeline.stages.channels import ChannelName, index_of
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts


class Threshold(Transform):
    """Reports where a channel crosses a level; packets go on as they are."""

    channel: ChannelName
    """Its name, or its place from 0."""
    level: float
    """In the packets' unit."""
    hysteresis: Annotated[float, Field(ge=0)] = 0.0
    """How far the channel must come back before it can cross again."""
    edge: Literal["rising", "falling"] = "rising"
    """From below, or from above."""
    rest_secs: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """After a trigger, how long none follows; what crosses meanwhile must come back first."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `threshold`."""
        need_volts(given)
        parameters = {
            "channel": index_of(self.channel, given, "channel"),
            "level": self.level,
            "hysteresis": self.hysteresis,
            "edge": self.edge,
            "rest": round(self.rest_secs * float(given.rate)),
        }
        return Planned((CoreStage("threshold", parameters),), given)
