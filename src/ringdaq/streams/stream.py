"""A stream as its user sees it: all its generations, the newest first of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ringdaq.errors import UnknownStreamError
from ringdaq.model import StreamSpec
from ringdaq.streams.directory import RingDirectory, running_directory
from ringdaq.streams.following import Following
from ringdaq.streams.reader import Start, StreamReader
from ringdaq.streams.record import Record
from ringdaq.streams.span import Moment, Span, span_of
from ringdaq.streams.statistics import RingStatistics
from ringdaq.streams.viewing import WindowView
from ringdaq.streams.window import Window

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Stream:
    """A stream of a ring directory; goes on to the next generation when its writer has ended.

    Windows reach back into earlier generations as far as these carry the same channels.
    """

    def __init__(self, name: str, directory: RingDirectory) -> None:
        self.name = name
        self._directory = directory
        self._reader = StreamReader.open(directory.newest(name))
        self._earlier: dict[Path, StreamReader] = {}

    def __repr__(self) -> str:
        return f"<Stream {self.name!r}: {self._reader.path}>"

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""
        return self._reader.spec

    @property
    def path(self) -> Path:
        """The newest ring of the stream."""
        return self._current().path

    @property
    def reader(self) -> StreamReader:
        """The reader of the newest generation, for what only one ring can tell."""
        return self._current()

    def latest(self) -> Record | None:
        """Copy the newest record; `None` if there is none."""
        return self._current().latest()

    def read(self, sequence: int) -> Record:
        """Copy a record of the newest generation, verified; see `StreamReader.read`."""
        return self._current().read(sequence)

    def window(
        self,
        seconds: float | None = None,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Window:
        """Copy the records with rows of a stretch of time; see `StreamReader.window`."""
        return self._copied(self._span(seconds, since, until))

    def snapshot(self) -> Window:
        """Copy everything that is left, from the oldest record to the newest."""
        return self._copied(Span())

    @overload
    def view(self, sequence: int | None = None) -> AbstractContextManager[Record]: ...
    @overload
    def view(
        self,
        sequence: None = None,
        *,
        window_secs: float | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> AbstractContextManager[Window]: ...
    def view(
        self,
        sequence: int | None = None,
        *,
        window_secs: float | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> AbstractContextManager[Record] | AbstractContextManager[Window]:
        """Look at records where they lie; see `StreamReader.view`."""
        if window_secs is None and since is None and until is None:
            return self._current().view(sequence)
        span = self._span(window_secs, since, until)
        return WindowView(self._reader.layout, list(self._parts(span)))

    def statistics(self) -> RingStatistics:
        """The newest ring's counters."""
        return self._current().statistics()

    def follow(
        self, start: Start = "newest", *, timeout: float | None = None, skip_lost: bool = False
    ) -> Following:
        """Read on and on, into the next generations too; see `StreamReader.follow`.

        When a writer has died, waits up to `timeout` seconds for its successor. `generation` of a
        record tells them apart; each counts its sequence numbers from 0.
        """
        reader = self._current()
        return Following(
            reader,
            reader.start(start),
            timeout=timeout,
            skip_lost=skip_lost,
            successor=self._successor,
        )

    def _successor(self, reader: StreamReader) -> Path | None:
        newer = self._newer(reader)
        return newer[0] if newer else None

    def _newer(self, reader: StreamReader) -> list[Path]:
        """The generations after a reader's, old to new."""
        if not reader.in_place:
            return self._directory.made_after(self.name, reader.made_nanos)
        return [path for path in self._directory.generations(self.name) if path > reader.path]

    def _current(self) -> StreamReader:
        """The reader, of the newest generation once the writer of this one has ended."""
        if not self._reader.writer_alive and (newer := self._newer(self._reader)):
            self._earlier[self._reader.path] = self._reader
            self._reader = StreamReader.open(newer[-1])
        return self._reader

    # --- windows over several generations

    def _span(self, seconds: float | None, since: Moment | None, until: Moment | None) -> Span:
        return span_of(self.name, seconds, since, until, self._newest_nanos)

    def _newest_nanos(self) -> int | None:
        times = (reader.newest_nanos() for reader in self._backwards())
        return next((nanos for nanos in times if nanos is not None), None)

    def _copied(self, span: Span) -> Window:
        parts = [reader.copied(sequences) for reader, sequences in self._parts(span)]
        return Window(self._reader.layout, parts)

    def _parts(self, span: Span) -> list[tuple[StreamReader, range]]:
        """What each generation has of a span, old to new."""
        parts = []
        for reader in self._backwards():
            sequences = reader.sequences(span)
            parts.append((reader, sequences))
            if span.since is not None and reader.start("oldest") < sequences.start:
                break
        return parts[::-1]

    def _backwards(self) -> Iterator[StreamReader]:
        """The generations that go together, new to old."""
        current = self._current()
        yield current
        there = self._directory.generations(self.name)
        self._earlier = {path: r for path, r in self._earlier.items() if r.in_place}
        for path in reversed([path for path in there if path < current.path]):
            reader = self._earlier_reader(path)
            if reader is None or not _alike(reader.spec, current.spec):
                return
            yield reader

    def _earlier_reader(self, path: Path) -> StreamReader | None:
        """The reader of a generation; `None` if it was removed by now."""
        if path not in self._earlier:
            with suppress(UnknownStreamError):
                self._earlier[path] = StreamReader.open(path)
        return self._earlier.get(path)

    def close(self) -> None:
        """Let go of the rings."""
        for reader in (self._reader, *self._earlier.values()):
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _alike(one: StreamSpec, other: StreamSpec) -> bool:
    """Whether two generations make one table."""
    return replace(one, metadata={}) == replace(other, metadata={})


def attach(stream: str, *, directory: Path | None = None) -> Stream:
    """Read a stream of the daemon on this machine, or of a ring directory, without copying.

    >>> from ringdaq import attach
    >>> with attach("eeg") as eeg, eeg.view() as record:      # doctest: +SKIP
    ...     print(record.columns()["samples"].mean())
    """
    rings = RingDirectory(directory if directory is not None else running_directory())
    return Stream(stream, rings)
