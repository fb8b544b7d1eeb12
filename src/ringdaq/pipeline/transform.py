"""What a transform of a graph text becomes: stages of the core, and the form of their results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringdaq.config import Section
from ringdaq.pipeline.parts import PacketFormat, PacketKind, RefusedError, Sink, Site

TIMED: tuple[PacketKind, ...] = ("voltage", "filtered")
"""Kinds of packets that are volts over time."""


@dataclass(frozen=True, slots=True)
class CoreStage:
    """A stage of `ringdaq_core.Pipeline`: its kind and its parameters."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a transform becomes for packets of a form; several stages follow each other."""

    stages: tuple[CoreStage, ...]
    output: PacketFormat


class Transform(Section):
    """The parameters of a transform, which say themselves what they become."""

    @abstractmethod
    def plan(self, given: PacketFormat, site: Site) -> Planned:
        """What it becomes for packets of a form; a `RefusedError` says why it cannot be."""

    def tap(self, given: PacketFormat, site: Site) -> Sink:  # noqa: ARG002
        """What it is on the control plane, where it can be there."""
        raise RefusedError("this type runs on the data_plane; leave stage_type out", "stage_type")


def need_kind(given: PacketFormat, wanted: tuple[PacketKind, ...], hint: str = "") -> None:
    """Refuse packets of another kind."""
    if given.kind not in wanted:
        raise RefusedError(
            f"needs {' or '.join(wanted)} packets; found {given.kind} ones{hint and f'; {hint}'}"
        )


def need_volts(given: PacketFormat) -> None:
    """Refuse what is not volts over time, and numbers that stand for others."""
    hint = "put a to_voltage stage before it" if given.kind == "raw" else ""
    need_kind(given, TIMED, hint)
    for channel in given.channels:
        if (channel.scale, channel.offset) != (1.0, 0.0):
            raise RefusedError(
                f"computes with numbers as they are; those of the channel {channel.name!r} stand "
                f"for others, by a scale of {channel.scale:g} and an offset of {channel.offset:g}: "
                f"let its stream hold the values themselves"
            )
