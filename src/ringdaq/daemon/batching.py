"""Rows of a fast scan, many to a record: what a ring and a file take best."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ringdaq.streams import StreamWriter

# A row of a scan waits for others no longer than this.
HOLD_NANOS = 20_000_000
MAX_ROWS = 4096


class Batch:
    """The rows of one stream that were not written yet; any thread may add some.

    A row that comes long after the last record is written at once, with those before it.
    """

    def __init__(self, writer: Callable[[], StreamWriter]) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._times: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._written_nanos = 0
        self._closed = False

    def add(self, time_nanos: int, values: tuple[Any, ...]) -> bool:
        """Keep a row; `False` once the batch is closed."""
        with self._lock:
            if self._closed:
                return False
            self._times.append(time_nanos)
            self._rows.append(values)
            late = time_nanos - self._written_nanos >= HOLD_NANOS
            if late or len(self._rows) >= MAX_ROWS:
                self._write()
            return True

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what waits, and take no more."""
        with self._lock:
            self._closed = True
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        times, rows = self._times, self._rows
        self._times, self._rows = [], []
        self._written_nanos = times[-1]
        writer = self._writer()
        if len(rows) == 1:
            writer.append(times[0], *rows[0])
            return
        columns = zip(*rows, strict=True)
        names = (channel.name for channel in writer.spec.channels)
        writer.write_rows(times, {n: list(c) for n, c in zip(names, columns, strict=True)})
