"""Runs one stage of your own on a block, as a pipeline would, for its test."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import ringdaq_core as core

from ringdaq.model import Channel
from ringdaq.pipeline import NativeStage, PacketFormat
from ringdaq.pipeline.plugins import PluginCall


def run_stage(
    stage: Any,
    block: npt.ArrayLike,
    *,
    rate_hz: float | Fraction = 250,
    packet: int | None = None,
    origin_nanos: int = 0,
    **parameters: float,
) -> npt.NDArray[np.float32]:
    """What a plugin, or a native stage with these parameters, makes of a block.

    The block is volts [samples, channels]; it is given in packets of so many samples, in one where
    none is named. What the stage raises is raised. Packets that it ends are not in the result.
    """
    data = np.ascontiguousarray(block, dtype=np.float32)
    size = packet or len(data)
    channels = tuple(Channel(f"ch{place}", "float32", "V") for place in range(data.shape[1]))
    given = PacketFormat("voltage", channels, size, Fraction(rate_hz), simulated=True)
    chain = core.Chain(
        len(channels),
        size,
        (given.rate.numerator, given.rate.denominator),
        [_core_stage(stage, given, parameters)],
        kind="voltage",
    )
    made = []
    for start in range(0, len(data), size):
        part: Any = data[start : start + size]
        found = chain.run(part, origin_nanos, start, start // size)
        if found is not None:
            made.append(np.array(found))
            found.release()
    return np.concatenate(made) if made else np.empty((0, len(channels)), np.float32)


def _core_stage(
    stage: Any, given: PacketFormat, parameters: dict[str, float]
) -> tuple[str, dict[str, object]]:
    if isinstance(stage, NativeStage):
        return "native", stage.core_parameters(parameters, given)
    return "python", {"call": PluginCall(lambda: stage, given, anew=False), "in_place": True}
