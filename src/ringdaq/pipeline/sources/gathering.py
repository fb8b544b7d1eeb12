"""Samples that come in pieces, put together to packets of one length."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Gatherer:
    """Collects samples until a packet is full."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._blocks: list[npt.NDArray[Any]] = []
        self._stamps: list[npt.NDArray[np.float64]] = []
        self.rows = 0

    @property
    def missing(self) -> int:
        """Samples until it is full."""
        return self._samples - self.rows

    def add(self, block: npt.NDArray[Any], stamps: npt.NDArray[np.float64]) -> bool:
        """Keep some rows; returns whether there are enough."""
        # Libraries give views of buffers that they use again.
        self._blocks.append(block.copy())
        self._stamps.append(stamps.copy())
        self.rows += len(stamps)
        return self.rows >= self._samples

    def take(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Take out what was kept: samples and their stamps."""
        block, stamps = np.concatenate(self._blocks), np.concatenate(self._stamps)
        self._blocks, self._stamps, self.rows = [], [], 0
        return block, stamps
