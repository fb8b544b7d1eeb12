"""Recorded files to look back at; sealed ones stay open, with what was folded of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ringdaq.errors import RecordingError
from ringdaq.recorder.catalogue import Catalogue, RecordedSpan
from ringdaq.recorder.readback import RecordedFile, RecordedStream
from ringdaq.streams.history import SourceHistory

MAX_OPEN = 8


class OpenFile:
    """One recording and the histories of its streams."""

    def __init__(self, path: Path) -> None:
        self.file = RecordedFile(path)
        self.histories = {name: SourceHistory(stream) for name, stream in self.file.streams.items()}
        self.gaps = self.file.gaps()

    def of(self, stream: str) -> list[tuple[RecordedStream, SourceHistory]]:
        """The groups that hold a stream."""
        groups = self.file.streams.items()
        return [(one, self.histories[name]) for name, one in groups if one.spec.name == stream]


class RecordedFiles:
    """Opens what the catalogue names; to be used by one thread at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._sealed: OrderedDict[tuple[Path, int], OpenFile] = OrderedDict()
        self._in_use = 0

    def spans(self, stream: str, since_nanos: int, until_nanos: int) -> list[RecordedSpan]:
        """Where rows of a stream lie, the oldest first."""
        return self._catalogue.spans(stream, since_nanos, until_nanos)

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
