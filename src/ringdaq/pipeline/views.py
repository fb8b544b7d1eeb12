"""Packets as plugins and sinks see them: NumPy arrays over the pool's memory, without a copy."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, PacketKind

if TYPE_CHECKING:
    import ringdaq_core as core


class EegDataView:
    """A packet to read. Its arrays must not be kept beyond the call that gave the view."""

    def __init__(self, packet: core.Packet, format: PacketFormat) -> None:
        self._packet = packet
        self._format = format
        kind, _, self.samples, self.origin_nanos, self.first_sample, rate, self.frame_id = (
            packet.header
        )
        self.kind = cast(PacketKind, kind)
        """What the numbers are."""
        self.rate = Fraction(*rate)
        """Samples a second, exact."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels with their labels and units."""
        return self._format.channels

    @property
    def data(self) -> npt.NDArray[Any]:
        """The packet, [samples, channels]; read-only unless the view may write."""
        array = np.asarray(self._packet)
        if not self.is_mutable:
            array.setflags(write=False)
        return array

    def channel(self, index: int) -> npt.NDArray[Any]:
        """One channel's samples, strided, without a copy."""
        return self.data[:, index]

    @property
    def is_mutable(self) -> bool:
        """Whether `data` may be written."""
        return False

    def sample_timestamp(self, sample: int) -> int:
        """A sample's time in ns since the epoch, exact, rounded down."""
        return self._packet.sample_timestamp(sample)

    def timestamps(self) -> npt.NDArray[np.int64]:
        """All samples' times in ns since the epoch."""
        return np.fromiter(map(self.sample_timestamp, range(self.samples)), np.int64, self.samples)


class EegDataViewMut(EegDataView):
    """A packet that nobody else sees, to change where it lies."""

    @property
    def is_mutable(self) -> bool:
        """Whether `data` may be written."""
        return True
