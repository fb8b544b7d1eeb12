"""Voltages against something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.stages.channels import ChannelName, index_of
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts


class Reference(Transform):
    """Takes the mean of all channels, one of them, or the mean of its neighbours from each."""

    against: Literal["average", "channel", "laplacian"] = "average"
    """What is taken away."""
    channel: ChannelName | None = None
    """For `channel`: its name, or its place from 0."""
    neighbours: dict[str, list[ChannelName]] | None = None
    """For `laplacian`: the neighbours of each channel; one that has none here stays as it is."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.against == "channel") != (self.channel is not None):
            raise ValueError('write channel with against = "channel", and only there')
        if (self.against == "laplacian") != (self.neighbours is not None):
            raise ValueError('write neighbours with against = "laplacian", and only there')
        return self

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `reference`."""
        need_volts(given)
        parameters: dict[str, Any] = {}
        if self.channel is not None:
            parameters["channel"] = index_of(self.channel, given, "channel")
        if self.neighbours is not None:
            parameters["matrix"] = _laplacian(self.neighbours, given)
        return Planned((CoreStage("reference", parameters),), given)


def _laplacian(
    neighbours: Mapping[str, list[ChannelName]], given: PacketFormat
) -> list[list[float]]:
    """Weights [to][from]: each channel less the mean of its neighbours."""
    count = len(given.channels)
    matrix = [[float(row == column) for column in range(count)] for row in range(count)]
    for name, others in neighbours.items():
        row = index_of(name, given, "neighbours")
        places = {index_of(other, given, "neighbours") for other in others}
        if not places or row in places:
            raise RefusedError(f"channel {name!r} needs neighbours other than itself", "neighbours")
        for place in places:
            matrix[row][place] = -1 / len(places)
    return matrix
