"""Units of voltage as people write them, and numbers in them as volts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.model import Channel

VOLTS_PER_UNIT = MappingProxyType(
    {
        **dict.fromkeys(("v", "volt", "volts"), 1.0),
        **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
        # The micro sign, and the Greek letter that looks the same.
        **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-6),
        **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
    }
)
"""By the unit in small letters."""


def volts_per(unit: str) -> float | None:
    """How many volts one of a unit is; `None` where it is no unit of voltage."""
    return VOLTS_PER_UNIT.get(unit.strip().lower())


def in_microvolts(channel: Channel) -> Channel:
    """A channel of voltage with a calibration in microvolts; any other as it is."""
    volts = volts_per(channel.unit)
    if volts is None:
        return channel
    factor = volts * 1e6
    return replace(channel, unit="uV", scale=channel.scale * factor, offset=channel.offset * factor)


class Physical:
    """Turns the numbers of packets into what they stand for, in each channel's own unit."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._scales = np.array([channel.scale for channel in channels])
        self._offsets = np.array([channel.offset for channel in channels])

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Stored numbers [rows, channels] as float64."""
        found: npt.NDArray[np.float64] = values * self._scales + self._offsets
        return found
