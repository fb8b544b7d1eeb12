"""Reading one generation of a stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

import numpy as np
import ringdaq_core as core

from ringdaq.errors import (
    ClosedStreamError,
    EndOfStreamError,
    NotYetWrittenError,
    OverrunError,
    StreamError,
    WriterGoneError,
)
from ringdaq.model import StreamSpec
from ringdaq.streams.failures import CORE_ERRORS, stream_error
from ringdaq.streams.following import Following
from ringdaq.streams.layout import Layout
from ringdaq.streams.placed import PlacedRecord
from ringdaq.streams.record import CopiedRecord, Frame, Record
from ringdaq.streams.span import Moment, Span, int64_nanos, span_of
from ringdaq.streams.statistics import RingStatistics
from ringdaq.streams.viewing import WindowView
from ringdaq.streams.waiting import Waiter
from ringdaq.streams.window import Window

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

Start = int | Literal["newest", "oldest"]
_TRIES = 1000


class CopiedRecords(NamedTuple):
    """Records that follow each other, as they lie in the ring."""

    frames: NDArray[np.int64]
    """[records, 4]: rows, first time, last time, bytes of the payload."""
    first_row: int
    """Rows of the stream before the first record."""
    rows: int
    """Rows of all of them."""
    payloads: bytes
    """The Arrow IPC record batch messages, one behind the other."""


class _Places(Sequence[Record]):
    """Records that are looked up when somebody wants to see them."""

    def __init__(self, place: Callable[[int], Record], sequences: range) -> None:
        self._place = place
        self._sequences = sequences

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> _Places: ...
    def __getitem__(self, index: int | slice) -> Record | _Places:
        if isinstance(index, slice):
            return _Places(self._place, self._sequences[index])
        return self._place(self._sequences[index])

    def __len__(self) -> int:
        return len(self._sequences)


def _stream_name(path: Path) -> str:
    return path.name.removesuffix(".ring").rpartition(".")[0]


class StreamReader(core.Viewer):
    """A reader of one generation; it maps the ring read-only and holds no lock."""

    def __new__(cls, reader: core.RingReader, *_rest: object) -> Self:
        """Begin the core's part."""
        return super().__new__(cls, reader, PlacedRecord)

    def __init__(
        self, reader: core.RingReader, layout: Layout, path: Path, file: os.stat_result
    ) -> None:
        self._core: core.RingReader | None = reader
        self._file = file
        self.layout = layout
        """The stream's spec and its Arrow schema."""
        self._mapping = reader.mapping()
        self.path = path
        self.generation: str = reader.generation
        self.schema_ipc: bytes = layout.schema.message

    @classmethod
    def open(cls, path: Path) -> StreamReader:
        """Map a ring, after checks of its header, its sizes and its schema."""
        path = Path(path)
        try:
            file = os.stat(path)  # before it is opened: what comes to its place then is not it
            reader = core.RingReader.open(path)
            layout = Layout.from_message(reader.schema, reader.generation)
        except CORE_ERRORS as error:
            raise stream_error(error, _stream_name(path), path) from None
        return cls(reader, layout, path, file)

    @property
    def spec(self) -> StreamSpec:
        """What the stream carries."""
        return self.layout.spec

    @property
    def closed(self) -> bool:
        """Whether this side has closed the reader."""
        return self._core is None

    @property
    def in_place(self) -> bool:
        """Whether its file is still at its path: not removed, nor another one there."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self.path), self._file)
        return False

    @property
    def made_nanos(self) -> int:
        """When its file was made, by the file system's clock; mapped memory does not change it."""
        return self._file.st_mtime_ns

    @property
    def writer_alive(self) -> bool:
        """Whether a living process holds the ring and has not closed it."""
        try:
            return self.native().writer_alive
        except CORE_ERRORS as error:
            raise self.error(error) from None

    @property
    def mapping(self) -> memoryview:
        """The bytes of the ring's file, read-only; they change while the writer writes."""
        return self._mapping

    @property
    def address(self) -> int:
        """Where the mapping begins, for ctypes and C++; `len(mapping)` bytes, read-only.

        It is valid while `mapping`, or a piece of it, is referred to.
        """
        return int(np.frombuffer(self._mapping, np.uint8).ctypes.data)

    @property
    def oldest_sequence(self) -> int:
        """Sequence number of the oldest record left."""
        try:
            return self.native().oldest_sequence
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def checked_next_sequence(self) -> int:
        """The same, from counters that are consistent; raises `CorruptRecordError`."""
        try:
            return self.native().checked_next_sequence()
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def error(self, error: Exception) -> StreamError:
        """Put an error of the core into ringdaq's words."""
        return stream_error(error, self.spec.name, self.path)

    def statistics(self) -> RingStatistics:
        """The ring's counters, consistent with each other."""
        try:
            return RingStatistics.from_core(self.native().statistics())
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def read(self, sequence: int) -> CopiedRecord:
        """Copy a record, verified.

        Raises `OverrunError` if it is gone, `NotYetWrittenError` if it is still to come,
        `EndOfStreamError` or `WriterGoneError` if it never will, `CorruptRecordError` if damaged.
        """
        try:
            frame, payload = self.native().read(sequence)
        except CORE_ERRORS as error:
            raise self.error(error) from None
        except OverflowError:
            raise self._no_sequence(sequence) from None
        return CopiedRecord(self.layout, sequence, frame, payload)

    def frame(self, sequence: int) -> Frame:
        """A record's rows, first time, last time, and the rows before it; nothing is copied."""
        try:
            return self.native().frame(sequence)
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def gather(
        self, sequence: int, end: int, columns: Sequence[int], max_bytes: int
    ) -> tuple[NDArray[np.int64], list[tuple[NDArray[np.uint8], NDArray[np.bool_] | None]]]:
        """Copy records from one on, verified: their frames, and columns of numbers by place.

        Ends before `end` after `max_bytes`, or before a record that is gone or damaged unless it is
        the first. Frames are as in `frame`, [records, 4]; a column is its bytes, and where values
        are missing.
        """
        try:
            frames, found = self.native().gather(sequence, end, columns, max_bytes)
        except CORE_ERRORS as error:
            raise self.error(error) from None
        return np.frombuffer(frames, np.int64).reshape(-1, 4), [
            (
                np.frombuffer(values, np.uint8),
                None if missing is None else np.frombuffer(missing, np.bool_),
            )
            for values, missing in found
        ]

    def copy_many(self, sequence: int, end: int, max_bytes: int) -> CopiedRecords:
        """Copy records from one on as they are, verified.

        Ends before `end` after `max_bytes`, or before a record that is gone or damaged unless it is
        the first.
        """
        try:
            found, first_row, rows, payloads = self.native().copy_many(sequence, end, max_bytes)
        except CORE_ERRORS as error:
            raise self.error(error) from None
        frames = np.frombuffer(found, np.int64).reshape(-1, 4)
        return CopiedRecords(frames, first_row, rows, payloads)

    def latest(self) -> Record | None:
        """Copy the newest record; `None` if there is none."""
        for _ in range(_TRIES):
            following = self.next_sequence
            if following == 0:
                return None
            try:
                return self.read(following - 1)
            except OverrunError:
                continue
        raise self._too_fast()

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
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
        def view(self, *_args: object, **_window: object) -> object:
            """Look at a record, or a window, where it lies; the core does, see there."""

    def view_window(
        self, window_secs: float | None, since: Moment | None, until: Moment | None
    ) -> WindowView:
        """What `view` gives for a window."""
        span = self.span(window_secs, since, until)
        return WindowView(self.layout, [(self, self.sequences(span))])

    def in_words(self, error: Exception, sequence: int | None) -> Exception:
        """What the core raised for a record, or for the next one, as it is told to users."""
        if isinstance(error, CORE_ERRORS):
            return self.error(error)
        return self._no_sequence(sequence) if isinstance(error, OverflowError) else error

    def window(
        self,
        seconds: float | None = None,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Window:
        """Copy the records with rows of a stretch of time, as far as they are left.

        `seconds` before the newest row; or from `since`, up to `until`, which is not part of it; or
        one of the two and `seconds`. Records are whole, so the first may begin a little earlier.
        """
        return Window(self.layout, [self.copied(self.sequences(self.span(seconds, since, until)))])

    def snapshot(self) -> Window:
        """Copy everything that is left, from the oldest record to the newest."""
        return Window(self.layout, [self.copied(self.sequences(Span()))])

    def span(self, seconds: float | None, since: Moment | None, until: Moment | None) -> Span:
        """What a window was asked for by, with this ring's newest row."""
        return span_of(self.spec.name, seconds, since, until, self.newest_nanos)

    def newest_nanos(self) -> int | None:
        """Time of the newest row, `None` in an empty ring."""
        return self.statistics().last_nanos

    def sequences(self, span: Span) -> range:
        """The records that have rows of a span and are left."""
        end = self.next_sequence if span.until is None else self._end(span.until)
        begin = self.oldest_sequence if span.since is None else self.find(span.since)
        return range(min(begin, end), end)

    def _end(self, until: int) -> int:
        """The first record without a row before a time."""
        for _ in range(_TRIES):
            end = self.find(until)
            with suppress(NotYetWrittenError, EndOfStreamError, WriterGoneError, OverrunError):
                # The record that reaches the time may begin before it.
                return end + (self._in_place(end).first_nanos < until)
            if end >= self.oldest_sequence:
                return end
        raise self._too_fast()

    def places(self, sequences: range) -> Sequence[Record]:
        """Records where they lie, looked up when somebody wants to see them."""
        return _Places(self._in_place, sequences)

    def copied(self, sequences: range) -> list[Record]:
        """Records, from the newest back, so that being lapped only leaves out the first."""
        records: deque[Record] = deque()
        with suppress(OverrunError):
            for sequence in reversed(sequences):
                records.appendleft(self.read(sequence))
        return list(records)

    def find(self, time_nanos: int) -> int:
        """The first record left whose last time is that late; the next one if there is none yet."""
        try:
            return self.native().find(int64_nanos(time_nanos))
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def wait(self, sequence: int, timeout: float) -> bool:
        """Sleep until a record is readable, or never will be; False after the timeout in seconds.

        After True, `read` gives the record or the reason why there is none.
        """
        try:
            return self.native().wait(sequence, timeout)
        except CORE_ERRORS as error:
            raise self.error(error) from None

    def follow(
        self, start: Start = "newest", *, timeout: float | None = None, skip_lost: bool = False
    ) -> Following:
        """Read on and on, with `for` or `async for`.

        Begins with the next record to come, the oldest left, or a sequence number. Ends when the
        writer closed the ring, or when nothing came for `timeout` seconds; without a timeout, it
        waits as long as the writer lives. Raises `WriterGoneError` after the last record of a dead
        writer, and `OverrunError` if lapped, unless lost records are to be skipped and counted.
        """
        return Following(self, self.start(start), timeout=timeout, skip_lost=skip_lost)

    def watch(self) -> core.Watch:
        """Tells by a descriptor that a record is there; raises `OSError` where no kernel does."""
        return core.Watch(self.native())

    def waiter(self) -> Waiter:
        """Waits for this ring in a coroutine."""
        return Waiter(self.native())

    def start(self, start: Start) -> int:
        """The first record that a follower gets."""
        if start == "newest":
            return self.next_sequence
        if start == "oldest":
            return self.oldest_sequence
        return start

    def close(self) -> None:
        """Let go of the ring; the mapping goes with the last view of it."""
        if self._core is not None:
            self._core.close()
        self._core = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def native(self) -> core.RingReader:
        """The core's reader; raises `ClosedStreamError`."""
        if self._core is None:
            raise ClosedStreamError(
                f"this reader of stream {self.spec.name!r} is closed: {self.path}",
                stream=self.spec.name,
            )
        return self._core

    def checked(self, sequence: int) -> int:
        """A sequence number that may be; raises `StreamError`."""
        if not 0 <= sequence < 1 << 64:
            raise self._no_sequence(sequence)
        return sequence

    def _no_sequence(self, sequence: int | None) -> StreamError:
        return StreamError(
            f"stream {self.spec.name!r}: a sequence number is 0 to 2**64 - 1; found {sequence}",
            stream=self.spec.name,
        )

    def _in_place(self, sequence: int) -> PlacedRecord:
        place: PlacedRecord = super().view(sequence)
        return place

    def _too_fast(self) -> StreamError:
        return StreamError(f"stream {self.spec.name!r} is faster than this reader: {self.path}")

    def verify(self, sequence: int, *, cause: BaseException | None = None) -> None:
        """Raise `OverrunError` if a record may have been overwritten by now."""
        reader = self.native()
        if reader.intact(sequence):
            return
        try:
            reader.verify(sequence)
        except core.OverrunError as error:
            raise self.error(error) from cause
        except core.CoreError:
            return
