"""A stream as its user sees it: the newest ring, and whatever comes after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ringdaq.errors import WriterGoneError
from ringdaq.model import StreamSpec
from ringdaq.streams.directory import RingDirectory, running_directory
from ringdaq.streams.reader import Start, StreamReader
from ringdaq.streams.record import Record
from ringdaq.streams.statistics import RingStatistics
from ringdaq.streams.window import Window

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_LOOK_SECS = 0.25
"""How often a follower looks for a next generation, while the writer is dead."""


class Stream:
    """The newest generation of a stream; goes on to the next one when its writer has ended."""

    def __init__(self, name: str, directory: RingDirectory) -> None:
        self.name = name
        self._directory = directory
        self._reader = StreamReader.open(directory.newest(name))

    def __repr__(self) -> str:
        return f"<Stream {self.name!r}: {self._reader.path}>"

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""
        return self._reader.spec

    @property
    def path(self) -> Path:
        """The ring that is read now."""
        return self._reader.path

    def latest(self) -> Record | None:
        """Copy the newest record; `None` if there is none."""
        return self._current().latest()

    def window(self, seconds: float) -> Window:
        """Copy the records of the last seconds before the newest row, as far as they are left."""
        return self._current().window(seconds)

    @overload
    def view(self, sequence: int | None = None) -> AbstractContextManager[Record]: ...
    @overload
    def view(self, *, window_secs: float) -> AbstractContextManager[Window]: ...
    def view(
        self, sequence: int | None = None, *, window_secs: float | None = None
    ) -> AbstractContextManager[Record] | AbstractContextManager[Window]:
        """Look at the newest records where they lie; see `StreamReader.view`."""
        if window_secs is None:
            return self._current().view(sequence)
        return self._current().view(window_secs=window_secs)

    def statistics(self) -> RingStatistics:
        """The newest ring's counters."""
        return self._current().statistics()

    def follow(self, start: Start = "newest", *, timeout: float | None = None) -> Iterator[Record]:
        """Read on and on, into the next generations too; see `StreamReader.follow`.

        When a writer has died, waits up to `timeout` seconds for its successor. `generation` of a
        record tells them apart; each counts its sequence numbers from 0.
        """
        return self._follow(self._current().follow(start, timeout=timeout), timeout)

    def _follow(self, records: Iterator[Record], timeout: float | None) -> Iterator[Record]:
        while True:
            died = False
            try:
                yield from records
            except WriterGoneError:
                died = True
            following = self._next_generation(timeout if died else 0)
            if following is None:
                return
            self._reader = StreamReader.open(following)
            records = self._reader.follow(0, timeout=timeout)

    def _next_generation(self, timeout: float | None) -> Path | None:
        begun = time.monotonic()
        while True:
            newer = [p for p in self._directory.generations(self.name) if p > self._reader.path]
            if newer:
                return newer[0]
            if timeout is not None and time.monotonic() - begun >= timeout:
                return None
            time.sleep(_LOOK_SECS)

    def _current(self) -> StreamReader:
        """The reader, of the newest generation once the writer of this one has ended."""
        if not self._reader.writer_alive:
            newest = self._directory.newest(self.name)
            if newest != self._reader.path:
                self._reader = StreamReader.open(newest)
        return self._reader

    def close(self) -> None:
        """Let go of the ring."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def attach(stream: str, *, directory: Path | None = None) -> Stream:
    """Read a stream of the daemon on this machine, or of a ring directory, without copying.

    >>> from ringdaq import attach
    >>> with attach("eeg") as eeg, eeg.view() as record:      # doctest: +SKIP
    ...     print(record.columns()["samples"].mean())
    """
    rings = RingDirectory(directory if directory is not None else running_directory())
    return Stream(stream, rings)
