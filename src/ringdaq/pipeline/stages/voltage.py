"""Counts of a converter to volts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_kind

Positive = Annotated[float, Field(gt=0)]


class ToVoltage(Transform):
    """Volts = counts × scale; without any key, the source's scale, and volts pass as they are."""

    scale: float | None = None
    """Volts a count."""
    vref: Positive | None = None
    """The converter's reference in volts; scale = vref / gain / 2^(bits - 1)."""
    gain: Positive = 1.0
    """Of the amplifier before the converter."""
    bits: Annotated[int, Field(ge=2, le=32)] = 24
    """Of the converter, the sign's included."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.scale is not None and self.vref is not None:
            raise ValueError("write either scale or vref")
        if self.vref is None and self.model_fields_set & {"gain", "bits"}:
            raise ValueError("gain and bits need vref beside them")
        if self.scale == 0:
            raise ValueError("a scale of 0 leaves nothing")
        return self

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `to_voltage`."""
        if given.kind == "voltage" and not self.model_fields_set:
            return Planned((CoreStage("pass", {}),), given)
        need_kind(given, ("raw",), "they are volts already" if given.kind != "fft" else "")
        scale = self._scale(given)
        channels = tuple(map(_in_volts, given.channels))
        output = replace(given, kind="voltage", channels=channels)
        return Planned((CoreStage("to_voltage", {"scale": scale}),), output)

    def _scale(self, given: PacketFormat) -> float:
        if self.scale is not None:
            return self.scale
        if self.vref is not None:
            return self.vref / self.gain / float(1 << (self.bits - 1))
        scales = {(channel.scale, channel.offset, channel.unit) for channel in given.channels}
        if len(scales) > 1 or not scales <= {(scale, 0.0, "V") for scale, _, _ in scales}:
            raise RefusedError(
                "the source does not say one scale in volts a count for all channels; "
                "write scale, or vref and gain"
            )
        return scales.pop()[0]


def _in_volts(channel: Channel) -> Channel:
    return replace(channel, dtype="float32", unit="V", scale=1.0, offset=0.0)
