"""Recorded files to look back at; sealed ones stay open, with what was folded of them."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ringdaq.errors import BadRequestError, RecordingError
from ringdaq.recorder.catalogue import Catalogue, RecordedSpan
from ringdaq.recorder.readback import RecordedFile, RecordedStream
from ringdaq.streams.history import SourceHistory

MAX_OPEN = 8
MAX_AT_ONCE = 400
"""Files that one query reads; a process may often have no more than 1 024 of any kind open."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time for which rows are wanted, both ends included."""

    since_nanos: int
    until_nanos: int
    known_rows: int = 0
    """How many of the rows at its very end are held elsewhere, the last ones."""


class OpenFile:
    """One recording and the histories of its streams."""

    def __init__(self, path: Path) -> None:
        self.file = RecordedFile(path)
        self.histories = {name: SourceHistory(stream) for name, stream in self.file.streams.items()}
        self.gaps = self.file.gaps()
        self._part = _part_of(self.file)

    def follows(self, before: OpenFile | None) -> bool:
        """Whether it begins at exactly the record where another one ends, as parts of one do."""
        if before is None or before._part is None or self._part is None:
            return before is self
        (recording, number), (same, last) = self._part, before._part
        return recording == same and number in (last, last + 1)

    def of(self, stream: str) -> list[tuple[RecordedStream, SourceHistory]]:
        """The groups that hold a stream."""
        groups = self.file.streams.items()
        return [(one, self.histories[name]) for name, one in groups if one.spec.name == stream]


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows of one group of a file."""

    file: OpenFile
    stream: RecordedStream
    history: SourceHistory
    first_row: int
    end_row: int
    joined: bool
    """Whether they follow the rows that were found before them, with none in between."""


class _Seam:
    """How far files have answered: up to a time, and to so many of the rows at that time.

    Files may begin and end in the middle of rows of one time, and several may hold the same rows.
    """

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._nanos = stretch.since_nanos
        self._rows = 0
        self._file: OpenFile | None = None

    def take(
        self, file: OpenFile, stream: RecordedStream, history: SourceHistory
    ) -> FoundRows | None:
        """The rows of a group that are wanted and were not found yet."""
        until, known = self._stretch.until_nanos, self._stretch.known_rows
        first, end = history.between(self._nanos, until)
        joined = file.follows(self._file)
        first += 0 if joined else min(self._rows, _rows_at(history, self._nanos))
        end -= min(known, _rows_at(history, until)) if known else 0
        if first >= end:
            return None
        self._go_on(file, history, first, end)
        return FoundRows(file, stream, history, first, end, joined)

    def _go_on(self, file: OpenFile, history: SourceHistory, first: int, end: int) -> None:
        last = history.time_of(end - 1)
        rows = end - max(first, history.between(last, last)[0])
        self._rows = rows + (self._rows if last == self._nanos else 0)
        self._nanos, self._file = last, file


class RecordedFiles:
    """Opens what the catalogue names; to be used by one thread at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._sealed: OrderedDict[tuple[Path, int], OpenFile] = OrderedDict()
        self._in_use = 0

    def spans(self, stream: str, since_nanos: int, until_nanos: int) -> list[RecordedSpan]:
        """Where rows of a stream lie, the oldest first."""
        return self._catalogue.spans(stream, since_nanos, until_nanos)

    def rows(self, stack: ExitStack, stream: str, stretch: Stretch) -> Iterator[FoundRows]:
        """A stream's rows in a stretch of time, each once; their files stay open with the stack."""
        seam = _Seam(stretch)
        spans = _once(self.spans(stream, stretch.since_nanos, stretch.until_nanos))
        _check_count(stream, len(spans))
        for span in spans:
            opened = stack.enter_context(self.open(span))
            for held, history in opened.of(stream) if opened is not None else ():
                if opened is None or (span.sealed and held.name != span.path):
                    continue
                if (found := seam.take(opened, held, history)) is not None:
                    yield found

    @contextmanager
    def open(self, span: RecordedSpan) -> Iterator[OpenFile | None]:
        """The file of a span; `None` if it is gone or cannot be read now."""
        try:
            found = self._open(span)
        except (OSError, RecordingError):
            yield None
            return
        self._in_use += 1
        try:
            yield found
        finally:
            self._in_use -= 1
            if not span.sealed:
                found.file.close()
            self._trim()

    def _open(self, span: RecordedSpan) -> OpenFile:
        if not span.sealed:
            return OpenFile(span.file)
        key = (span.file, span.file.stat().st_mtime_ns)
        found = self._sealed.get(key)
        if found is None:
            found = self._sealed[key] = OpenFile(span.file)
        self._sealed.move_to_end(key)
        return found

    def _trim(self) -> None:
        """Close what was not used for longest, but nothing while a query still reads."""
        while not self._in_use and len(self._sealed) > MAX_OPEN:
            self._sealed.popitem(last=False)[1].file.close()

    def close(self) -> None:
        """Let go of all files."""
        for found in self._sealed.values():
            found.file.close()
        self._sealed.clear()
        self._catalogue.close()


def _once(spans: list[RecordedSpan]) -> list[RecordedSpan]:
    """Each group of a sealed file, and each growing file, whose groups are not known yet, once."""
    found: dict[tuple[Path, str], RecordedSpan] = {}
    for span in spans:
        found.setdefault((span.file, span.path if span.sealed else ""), span)
    return list(found.values())


def _check_count(stream: str, files: int) -> None:
    if files > MAX_AT_ONCE:
        raise BadRequestError(
            f"rows of stream {stream!r} can be had from up to {MAX_AT_ONCE} files at once; "
            f"those of this time lie in {files}: give a shorter time"
        )


def _rows_at(history: SourceHistory, nanos: int) -> int:
    first, end = history.between(nanos, nanos)
    return end - first


def _part_of(file: RecordedFile) -> tuple[str, int] | None:
    """The continuous recording that a file is a part of, and which one."""
    told = file.entry["metadata"]
    if "part" not in told:
        return None
    part = json.loads(told["part"].asstr()[()])
    return str(part["recording"]), int(part["number"])
