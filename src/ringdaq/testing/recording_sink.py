"""A sink that keeps what it is given, in place of a ring."""

import threading
from collections.abc import Mapping
from typing import Any


class RecordingSink:
    """Keeps all records; `wait` sleeps until there are enough."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, ...]] = []
        """Each as the arguments of the call that wrote it."""
        self._changed = threading.Condition()

    def append(self, time_nanos: int, *values: Any) -> int:
        """Keep one row."""
        return self._keep(time_nanos, *values)

    def write_rows(self, times: Any, columns: Mapping[str, Any]) -> int:
        """Keep many rows as one record."""
        return self._keep(times, dict(columns))

    def write_block(self, first_nanos: int, block: Any) -> int:
        """Keep a block of samples."""
        return self._keep(first_nanos, block)

    def write_frame(self, time_nanos: int, *images_and_values: Any) -> int:
        """Keep a frame."""
        return self._keep(time_nanos, *images_and_values)

    def wait(self, records: int, timeout: float) -> bool:
        """Wait until so many records are there; returns whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.records) >= records, timeout)

    def _keep(self, *record: Any) -> int:
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()
            return len(self.records) - 1
