"""The journal of one recording, for reading: every entry that is whole, and where damage lies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ringdaq.errors import CorruptJournalError, RecordingError
from ringdaq.recorder.entries import (
    ALIGNMENT,
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    SYNC_BYTES,
    Entry,
    SegmentHeader,
    crc_seed,
    decode_entry,
    decode_segment_header,
)
from ringdaq.recorder.journal import segment_paths


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of a segment that fails its checks."""

    path: Path
    start: int
    """First byte."""
    end: int
    """One after the last byte."""
    reason: str
    at_end: bool
    """Nothing whole follows in the segment: what a kill or a power cut leaves behind."""


class SegmentReader:
    """The whole entries of one segment, in order; stretches that are not whole become `damage`."""

    def __init__(self, path: Path, recording_id: str | None = None) -> None:
        """With `recording_id`, a segment is read even if its header is damaged."""
        self.path = path
        self.damage: list[Damage] = []
        self._raw = path.read_bytes()
        self._data = memoryview(self._raw)
        self.header = self._read_header(recording_id)
        self._seed = crc_seed(self.header.recording_id)

    def _read_header(self, recording_id: str | None) -> SegmentHeader:
        try:
            return decode_segment_header(self._data)
        except CorruptJournalError as error:
            if recording_id is None:
                raise
            reason = str(error)
        self._seed = crc_seed(recording_id)
        start = self._step_over(0, reason)
        first = next(self._entries(start), None)
        return SegmentHeader(recording_id, 0, first.number if first else 0, 0)

    def entries(self, *, offset: int = SEGMENT_HEADER_BYTES) -> Iterator[Entry]:
        """The entries from a byte offset on."""
        expected = self.header.first_entry
        for entry in self._entries(offset):
            if entry.number >= expected:
                expected = entry.number + 1
                yield entry

    def _entries(self, offset: int) -> Iterator[Entry]:
        while offset < len(self._data):
            try:
                entry = decode_entry(self._data, offset, self._seed)
            except CorruptJournalError as error:
                if self._ends_at(offset):
                    return
                offset = self._step_over(offset, str(error))
                continue
            offset = entry.end
            yield entry

    def _ends_at(self, offset: int) -> bool:
        """Whether only zeros follow, which the writer wrote ahead."""
        begins = self._raw[offset : offset + ENTRY_HEADER_BYTES]
        return not any(begins) and self._raw.count(0, offset) == len(self._raw) - offset

    def _step_over(self, start: int, reason: str) -> int:
        """Note the damage that begins at `start`; returns where reading goes on."""
        stop = self._next_whole(start + ALIGNMENT)
        self.damage.append(Damage(self.path, start, stop, reason, stop == len(self._data)))
        return stop

    def _next_whole(self, offset: int) -> int:
        while (found := self._raw.find(SYNC_BYTES, offset)) >= 0:
            if found % ALIGNMENT == 0 and self._is_whole(found):
                return found
            offset = found + 1
        return len(self._data)

    def _is_whole(self, offset: int) -> bool:
        try:
            decode_entry(self._data, offset, self._seed)
        except CorruptJournalError:
            return False
        return True


class JournalReader:
    """All entries of a journal in order, each once; void parts left out, damage noted."""

    def __init__(self, directory: Path, *, newest: int = 0) -> None:
        """With `newest`, only so many of the newest segments are looked at."""
        self.directory = directory
        self._newest = newest
        self.damage: list[Damage] = []
        """What was come across so far."""
        self._next = 0
        self._path = directory
        self._offset = SEGMENT_HEADER_BYTES

    def headers(self) -> list[tuple[Path, SegmentHeader]]:
        """The segments, old to new; one that is not whole at all is left out."""
        paths = segment_paths(self.directory)[-self._newest :]
        known = next(filter(None, map(self._intact, paths)), None)
        if known is None:
            return []
        return [
            (path, header) for path in paths if (header := self._header(path, known)) is not None
        ]

    def _intact(self, path: Path) -> str | None:
        with path.open("rb") as file:
            data = file.read(SEGMENT_HEADER_BYTES)
        try:
            return decode_segment_header(data).recording_id
        except CorruptJournalError:
            return None

    def _header(self, path: Path, known: str) -> SegmentHeader | None:
        with path.open("rb") as file:
            data = file.read(SEGMENT_HEADER_BYTES)
        try:
            header = decode_segment_header(data)
        except CorruptJournalError:
            segment = SegmentReader(path, known)
            self.damage += segment.damage[:1]
            return segment.header if next(segment.entries(), None) is not None else None
        if header.recording_id != known:
            raise RecordingError(
                f"a journal's segments belong to one recording; found {known!r} and "
                f"{header.recording_id!r}: {path}"
            )
        return header

    def entries(self, start: int = 0, stop: float = math.inf) -> Iterator[Entry]:
        """The entries from number `start` on, as far as they are on the disk now.

        Where somebody still writes, those from number `stop` on may not be durable, nor whole.
        Going on where the last reading ended costs nothing for what was read before.
        """
        headers = self.headers()
        for place, (path, header) in enumerate(headers):
            below = headers[place + 1][1].first_entry if place + 1 < len(headers) else math.inf
            below = min(below, stop)
            if below > max(start, header.first_entry):
                yield from self._segment(path, header.recording_id, start, below)

    def _segment(self, path: Path, known: str, start: int, below: float) -> Iterator[Entry]:
        goes_on = path == self._path and start == self._next
        segment = SegmentReader(path, known)
        offset = self._offset if goes_on else SEGMENT_HEADER_BYTES
        for entry in segment.entries(offset=offset):
            if entry.number >= below:
                break
            if entry.number >= start:
                self._path, self._offset, self._next = path, entry.end, entry.number + 1
                yield entry
        self.damage += [d for d in segment.damage if d not in self.damage]
