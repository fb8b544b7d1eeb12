"""Rows that wait in a file until another one is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.pipeline.sinks.new_file import append, make_file, part_of


class Spool:
    """A file of bare numbers [rows, channels] beside the one that is to be made of it."""

    def __init__(self, target: Path, dtype: npt.DTypeLike, channels: int) -> None:
        self.target = target
        """What is to be made of it."""
        self.path = part_of(target)
        self.dtype = np.dtype(dtype)
        self.rows = 0
        self.began_nanos = 0
        """When the first of them was taken, ns since the epoch."""
        self._channels = channels
        self._file = make_file(self.path)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Keep all of these rows; where the disk is full it raises, and keeps none."""
        append(self._file, np.ascontiguousarray(rows, self.dtype).data)
        self.rows += len(rows)

    def close(self) -> None:
        """Nothing is added any more."""
        self._file.close()

    def values(self) -> npt.NDArray[Any]:
        """What was kept, as it lies in the file."""
        return np.memmap(self.path, self.dtype, "r", shape=(self.rows, self._channels))
