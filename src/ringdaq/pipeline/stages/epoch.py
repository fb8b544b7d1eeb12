"""The samples around each trigger."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.stages.channels import ChannelName, index_of
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts

MOST_ROWS = 1_000_000
"""Samples that may be kept."""
Span = Annotated[float, Field(ge=0, le=3600)]


class Epoch(Transform):
    """Cuts out the samples around each trigger or marker, one packet each; they may overlap.

    Triggers come with the packets, or over a connection that carries triggers.
    """

    before_secs: Span
    """How much before the trigger."""
    after_secs: Span
    """How much from the trigger on, its own sample included."""
    late_secs: Span = 0.0
    """How much later than its samples a trigger may come."""
    channel: ChannelName | None = None
    """Only triggers of this channel, by name or place from 0; without it, all."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `epoch`."""
        need_volts(given)
        before, after, late = (
            round(secs * given.rate) for secs in (self.before_secs, self.after_secs, self.late_secs)
        )
        if before + after == 0:
            raise RefusedError(f"holds no sample at {given.rate} Hz; make it longer", "after_secs")
        if before + after + late > MOST_ROWS:
            raise RefusedError(
                f"{before + after + late} samples are more than the {MOST_ROWS} that may be kept",
                "late_secs" if late > before + after else "after_secs",
            )
        parameters: dict[str, Any] = {"before": before, "after": after, "late": late}
        if self.channel is not None:
            parameters["channel"] = index_of(self.channel, given, "channel")
        output = replace(given, samples=before + after, epochs=True)
        return Planned((CoreStage("epoch", parameters),), output)
