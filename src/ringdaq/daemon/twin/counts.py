"""How many rows and bytes a run would have recorded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ringdaq.daemon.emitted import widened
from ringdaq.daemon.publish import BYTES_PER_VALUE, row_bytes
from ringdaq.model import StreamSpec

RUN = "run"


class Counts:
    """Stands where a publisher stands, and counts."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.specs: dict[str, StreamSpec] = {}
        self.emitted_bytes = 0
        self._dtypes: dict[str, str] = {}

    def know(self, *specs: StreamSpec) -> None:
        """Count rows of these streams."""
        self.specs |= {spec.name: spec for spec in specs}

    def put_row(self, stream: str, _values: tuple[Any, ...]) -> None:
        """Count a row."""
        self.rows[stream] += 1

    def emit(self, values: dict[str, Any]) -> None:
        """Count a row of the run's own stream; every column takes room in every row.

        Refuses what the stream itself would.
        """
        self._dtypes = widened(self._dtypes, values)
        self.rows[RUN] += 1
        self.emitted_bytes += 8 + sum(BYTES_PER_VALUE[dtype] for dtype in self._dtypes.values())

    def streams(self) -> dict[str, dict[str, int]]:
        """Rows and bytes by stream; the run's own is called `run`."""
        found = {}
        for name, rows in sorted(self.rows.items()):
            if rows:
                size = self.emitted_bytes if name == RUN else rows * row_bytes(self.specs[name])
                found[name] = {"rows": rows, "bytes": size}
        return found


class Sink:
    """Where a twin's frames go."""

    def __init__(self, counts: Counts, stream: str) -> None:
        self._counts, self._stream = counts, stream

    def write_frame(self, *_: Any) -> None:
        """Count it."""
        self._counts.rows[self._stream] += 1
