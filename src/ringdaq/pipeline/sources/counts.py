"""Streams of an instrument as packets: raw counts where one scale fits all, else volts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketKind
from ringdaq.pipeline.volts import volts_per

COUNTS = ("int8", "int16", "int32", "uint8", "uint16")
"""What fits into the int32 of a raw packet."""


@dataclass(frozen=True)
class Conversion:
    """How blocks of a stream become packets."""

    kind: PacketKind
    channels: tuple[Channel, ...]
    """Of the packets; a unit of voltage has become V, any other is as it was."""
    chosen: Sequence[int] | None
    """Columns that are kept; `None` is all."""
    factors: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A block [rows, channels] as int32 counts, or as float32."""
        kept = block if self.chosen is None else block[:, self.chosen]
        if self.kind == "raw":
            return np.ascontiguousarray(kept, np.int32)
        return (kept * self.factors + self.offsets).astype(np.float32)


def conversion(channels: Sequence[Channel], chosen: Sequence[int] | None = None) -> Conversion:
    """Raw counts if all are whole numbers of one scale in volts and no offset, else float32."""
    kept = tuple(channels) if chosen is None else tuple(channels[place] for place in chosen)
    volts = [volts_per(channel.unit) for channel in kept]
    factors = [c.scale * (v or 1.0) for c, v in zip(kept, volts, strict=True)]
    offsets = [c.offset * (v or 1.0) for c, v in zip(kept, volts, strict=True)]
    whole = all(channel.dtype in COUNTS for channel in kept)
    # A calibration of two pairs of numbers is off zero by its rounding alone.
    straight = all(abs(o) < 1e-6 * abs(f) for o, f in zip(offsets, factors, strict=True))
    raw = whole and straight and None not in volts and len(set(factors)) == 1
    made = tuple(
        replace(
            channel,
            dtype="int32" if raw else "float32",
            unit="V" if volt else channel.unit,
            scale=factor if raw else 1.0,
            offset=0.0,
        )
        for channel, volt, factor in zip(kept, volts, factors, strict=True)
    )
    kind: PacketKind = "raw" if raw else "voltage"
    return Conversion(kind, made, chosen, np.array(factors), np.array(offsets))
