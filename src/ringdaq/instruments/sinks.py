"""Where instruments put what they measure; a ring's writer happens to be such a sink."""

from collections.abc import Mapping
from typing import Any, Protocol


class Sink(Protocol):
    """The writing half of a stream. Each method makes one record and returns its number.

    `time_nanos` is of the sample's birth, in ns since the Unix epoch, from `ringdaq.clock`.
    """

    def append(self, time_nanos: int, *values: Any) -> int:
        """Write one row of a stream of kind `rows`; `None` is a missing value."""

    def write_rows(self, times: Any, columns: Mapping[str, Any]) -> int:
        """Write many rows of a stream of kind `rows`."""

    def write_block(self, first_nanos: int, block: Any) -> int:
        """Write samples: an array [rows, channels] in the stream's dtype, contiguous."""

    def write_frame(self, time_nanos: int, *images_and_values: Any) -> int:
        """Write one frame: the image [height, width], then the other channels' values."""
