"""What a run says and does, with times and lines: for its status, its streams and its file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.daemon.publish import Publisher
from ringdaq.errors import StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

CAPACITY_BYTES = 1 << 20
LAST_SAID, LAST_DONE = 50, 20
"""How much of the end stands in the status."""
SHOWN_CHARACTERS = 500
MAX_ROW_CHARACTERS = 4096
MAX_ROWS = 1024
WRITE_SECS = 0.2
"""How often whoever holds it should write."""
CHANNELS = {
    "log": (Channel("line", "int64"), Channel("level", "string"), Channel("text", "string")),
    "trace": (
        Channel("line", "int64"),
        Channel("verb", "string"),
        Channel("duration", "float64", unit="s"),
        Channel("error", "string"),
    ),
    "progress": (
        Channel("line", "int64"),
        Channel("percent", "float64", unit="%"),
        Channel("eta", "float64", unit="s"),
    ),
}
Row = tuple[Any, ...]


class Diary:
    """Takes notes on the run's threads and writes them, many to a record, when `write` is called.

    Its streams are `run.ID.log`, `run.ID.trace` and `run.ID.progress`; each begins with its first
    row.
    """

    def __init__(
        self, run_id: str, publisher: Publisher, on_new_ring: Callable[[StreamWriter], None]
    ) -> None:
        self._names = {kind: f"run.{run_id}.{kind}" for kind in CHANNELS}
        self._publisher = publisher
        self._on_new_ring = on_new_ring
        self._writing = threading.Lock()
        self._writers: dict[str, StreamWriter] = {}
        self._waiting: dict[str, deque[tuple[int, Row]]] = {kind: deque() for kind in CHANNELS}
        self._last: dict[str, deque[tuple[int, Row]]] = {
            "log": deque(maxlen=LAST_SAID),
            "trace": deque(maxlen=LAST_DONE),
        }
        self._before: Row = ()
        self._failed = False

    def said(self, text: str, level: str, line: int) -> None:
        """A piece of output."""
        text = text.removesuffix("\n")
        for start in range(0, max(len(text), 1), MAX_ROW_CHARACTERS):
            self._note("log", (line, level, text[start : start + MAX_ROW_CHARACTERS]))

    @contextmanager
    def doing(self, verb: str, line: int) -> Iterator[None]:
        """A verb that is carried out within."""
        begun = now_nanos()
        error = ""
        try:
            yield
        except Exception as caught:
            error = type(caught).__name__
            raise
        finally:
            self.did(verb, line, begun, error)

    def did(self, verb: str, line: int, begun_nanos: int, error: str) -> None:
        """A verb that was carried out; `error` is its error's class, or empty."""
        secs = (now_nanos() - begun_nanos) / 1e9
        self._note("trace", (line, verb, secs, error), begun_nanos)

    def reached(self, line: int, percent: float | None, eta_secs: float | None) -> None:
        """Where the run is; kept where it is elsewhere than before."""
        if (line, percent) != self._before[:2]:
            self._before = line, percent, eta_secs
            self._note("progress", self._before)

    def _note(self, kind: str, row: Row, time_nanos: int | None = None) -> None:
        noted = (now_nanos() if time_nanos is None else time_nanos, row)
        if kind in self._last:
            self._last[kind].append(noted)
        waiting = self._waiting[kind]
        waiting.append(noted)
        if len(waiting) >= MAX_ROWS:
            self.write(kind)

    def write(self, *kinds: str) -> None:
        """Write what waits, of these kinds or of all."""
        with self._writing:
            for kind in kinds or CHANNELS:
                waiting = self._waiting[kind]
                rows = [waiting.popleft() for _ in range(len(waiting))]
                if rows and not self._failed:
                    self._write(kind, rows)

    def _write(self, kind: str, rows: list[tuple[int, Row]]) -> None:
        try:
            writer = self._writers.get(kind) or self._open(kind)
            columns = zip(*(row for _, row in rows), strict=True)
            names = (channel.name for channel in CHANNELS[kind])
            writer.write_rows(
                [time for time, _ in rows],
                {name: list(column) for name, column in zip(names, columns, strict=True)},
            )
        except StreamError as error:
            # A full /dev/shm must not end the run; the status says what its streams lack.
            self._failed = True
            self._last["log"].append((now_nanos(), (0, "error", f"the log ends here: {error}")))

    def _open(self, kind: str) -> StreamWriter:
        spec = StreamSpec(name=self._names[kind], kind="rows", channels=CHANNELS[kind])
        writer = self._writers[kind] = self._publisher.open(spec, CAPACITY_BYTES)
        self._on_new_ring(writer)
        return writer

    def status(self) -> dict[str, Any]:
        """The end of the log and of the trace, as plain values, the newest last."""
        said = [
            {"time_nanos": t, "line": line, "level": level, "text": text[:SHOWN_CHARACTERS]}
            for t, (line, level, text) in tuple(self._last["log"])
        ]
        done = [
            {"time_nanos": t, "line": line, "verb": verb, "secs": secs, "error": error}
            for t, (line, verb, secs, error) in tuple(self._last["trace"])
        ]
        return {"log": said, "trace": done}

    def close(self) -> None:
        """No more rows."""
        for kind in tuple(self._writers):
            self._publisher.forget(self._names[kind])
