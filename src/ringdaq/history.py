"""What a stream held between two times, as one line of rows or bins, and the gaps in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringdaq.errors import BadRequestError
from ringdaq.model import StreamSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class HistoryGap:
    """A stretch of time for which a stream has no rows."""

    first_nanos: int
    """Time of the last row before it, or the beginning of what was asked for."""
    last_nanos: int
    """Time of the first row after it, or the end of what was asked for."""
    rows: int | None
    """How many rows are missing; `None`: not known."""
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryPart:
    """Rows, or bins of rows, that follow each other in one ring or file."""

    source: str
    """`ring` or `file`."""
    folded: bool
    first_nanos: NDArray[np.int64]
    """Time of each row, or of the first row of each bin."""
    last_nanos: NDArray[np.int64]
    counts: NDArray[np.int64]
    """Rows in each bin; 1 where nothing is folded."""
    low: dict[str, Array]
    """By channel, in its unit: the values, or the least of each bin; NaN: no value."""
    high: dict[str, Array]
    """By channel: the greatest value of each bin; the values themselves where not folded."""
    missing: dict[str, Array] = field(default_factory=dict)
    """By channel with missing values: True where one is missing."""


@dataclass(frozen=True, slots=True)
class History:
    """The answer to one query; rings and files are one line."""

    spec: StreamSpec
    """What the stream carries, as its newest source says."""
    parts: list[HistoryPart]
    """In the order of time."""
    gaps: list[HistoryGap]

    @property
    def folded(self) -> bool:
        """Whether entries are bins of rows, with a least and a greatest value."""
        return any(part.folded for part in self.parts)

    @property
    def channels(self) -> list[str]:
        """The channels that came."""
        return list(dict.fromkeys(name for part in self.parts for name in part.low))

    @property
    def times(self) -> NDArray[np.int64]:
        """Time of each row, or of the first row of each bin, ns since the epoch."""
        return self._joined(lambda part: part.first_nanos, "int64")

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows in each entry."""
        return self._joined(lambda part: part.counts, "int64")

    @property
    def rows(self) -> int:
        """Rows in all."""
        return int(self.counts.sum())

    def values(self, channel: str) -> Array:
        """A channel's value in each row; raises `BadRequestError` if rows are folded."""
        if self.folded:
            raise BadRequestError(
                "bins of rows have no single values; take low() and high(), or line(), "
                "or ask without max_points"
            )
        return self.low(channel)

    def low(self, channel: str) -> Array:
        """A channel's least value in each entry."""
        self._check(channel)
        return self._extremes([part.low.get(channel, _nothing(part)) for part in self.parts], -1)

    def high(self, channel: str) -> Array:
        """A channel's greatest value in each entry."""
        self._check(channel)
        return self._extremes([part.high.get(channel, _nothing(part)) for part in self.parts], 1)

    def line(self, channel: str) -> tuple[Array, Array]:
        """Times (datetime64[ns]) and values of a channel, ready to be drawn as a line.

        A bin becomes two points, its least and its greatest value; a gap becomes a NaN.
        """
        import numpy as np

        self._check(channel)
        times: list[Any] = []
        values: list[Any] = []
        for part in self.parts:
            low, high = (side.get(channel, _nothing(part)) for side in (part.low, part.high))
            if part.folded:
                times.append(np.stack([part.first_nanos, part.last_nanos], axis=1).ravel())
                values.append(np.stack([low, high], axis=1).ravel())
            else:
                times.append(part.first_nanos)
                values.append(low.astype(np.float64))
        at = np.concatenate([*times, [gap.first_nanos + 1 for gap in self.gaps]]).astype(np.int64)
        drawn = np.concatenate([*values, np.full(len(self.gaps), np.nan)])
        order = np.argsort(at, kind="stable")
        return at[order].astype("datetime64[ns]"), drawn[order]

    def _check(self, channel: str) -> None:
        if self.parts and channel not in self.channels:
            raise BadRequestError(
                f"no channel {channel!r} came; there are: {', '.join(self.channels)}"
            )

    def _extremes(self, parts: list[Array], side: int) -> Array:
        import numpy as np

        kinds = {part.dtype.kind for part in parts}
        if self.folded and "f" in kinds and kinds <= {"f", "i", "u"}:
            parts = [outward(part, side) for part in parts]
        return np.concatenate(parts) if parts else np.empty(0)

    def _joined(self, pick: Callable[[HistoryPart], Array], dtype: str | None = None) -> Array:
        import numpy as np

        found = [pick(part) for part in self.parts]
        return np.concatenate(found) if found else np.empty(0, dtype)


def outward(values: Array, side: int) -> Array:
    """Numbers as floats: where none is equal, the next below (side -1) or above (side 1)."""
    import numpy as np

    floats = values.astype(np.float64)
    if values.dtype.kind == "f" or values.dtype.itemsize < 8:
        return floats
    # The greatest integers round to a float that is none of them any more.
    beyond = floats >= float(np.iinfo(values.dtype).max)
    back = np.where(beyond, 0, floats).astype(values.dtype)
    inward = (beyond | (back > values)) if side < 0 else (~beyond & (back < values))
    moved: Array = np.where(inward, np.nextafter(floats, side * np.inf), floats)
    return moved


def _nothing(part: HistoryPart) -> Array:
    import numpy as np

    return np.full(len(part.first_nanos), np.nan)
