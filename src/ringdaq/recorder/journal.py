"""The journal of one recording, for writing: append-only segments, made durable batch by batch.

A batch is written and synced as a whole.
If any step fails, nothing of the batch counts: the file is cut back to what was durable before, or,
after a failed sync, the segment is left for good, because the kernel may have dropped dirty pages
that it now calls clean.
The next batch then begins a new segment, whose header declares what follows the durable part void.
The caller keeps the originals (they are in the ring) and tries again.

A file whose length stays is synced sooner, as only the bytes themselves go to the medium.
So short batches are written over zeros, which were written ahead for many of them at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ringdaq.clock import now_nanos
from ringdaq.recorder.disk import Disk, QuickDisk
from ringdaq.recorder.entries import (
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    SHORT_BYTES,
    Body,
    Footer,
    Part,
    SegmentHeader,
    crc_seed,
    encode_entry,
    encode_segment_header,
)
from ringdaq.recorder.native import crc32

SEGMENT_BYTES = 64 << 20
RESERVE_BYTES = 8 << 20
PIECE_BYTES = 4 << 20
AHEAD_BYTES = 256 << 10
"""The zeros that short batches write ahead of themselves, 16 of them or more at once."""
SUFFIX = ".journal"


class NotDurableError(Exception):
    """A batch could not be made durable; nothing of it counts, and it may be tried again."""


def segment_path(directory: Path, segment: int) -> Path:
    """Where a segment lies."""
    return directory / f"segment-{segment:08d}{SUFFIX}"


def segment_paths(directory: Path) -> list[Path]:
    """All segments of a journal, old to new."""
    return sorted(directory.glob(f"segment-*{SUFFIX}"))


def _pieces(parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """The parts in order, in pieces of about `PIECE_BYTES`, at least one."""
    first, length = 0, 0
    for end, part in enumerate(parts, 1):
        length += len(part)
        if length >= PIECE_BYTES and end < len(parts):
            yield parts[first:end]
            first, length = end, 0
    yield parts[first:]


class DirectoryLock:
    """Holds a journal's directory, so that two recorders never write the same recording.

    Raises `BlockingIOError` while another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class JournalWriter:
    """Appends batches of entries; what `commit` returned from is durable."""

    def __init__(
        self,
        directory: Path,
        recording_id: str,
        preamble: Callable[[], Sequence[Body]],
        *,
        next_entry: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        """`preamble` gives the entries each segment begins with: manifest, streams, checkpoint."""
        self.directory = directory
        self.next_entry = next_entry
        """The number the next entry gets; all before it are durable."""
        self._recording_id = recording_id
        self._seed = crc_seed(recording_id)
        self._preamble = preamble
        self._segment_bytes = segment_bytes
        self._disk = disk or QuickDisk()
        self._fd = -1
        self._path = directory
        self._length = 0
        self._zeros_end = 0
        self._crc = 0
        self._first_entry = 0
        self._identity = self._disk.identity(directory)

    def commit(self, bodies: Sequence[Body]) -> list[Body]:
        """Make a batch durable; returns what was written, a new segment's preamble included.

        Raises `NotDurableError` when it is not durable.
        """
        try:
            return self._commit(bodies)
        except OSError as error:
            self._abandon()
            raise NotDurableError(
                f"the journal cannot be written: {error.strerror or error}; the measurement goes "
                f"on, and writing is tried again: {self.directory}"
            ) from error

    def _commit(self, bodies: Sequence[Body]) -> list[Body]:
        closed: list[Body] = []
        if self._fd >= 0 and self._length >= self._segment_bytes:
            closed = self._close_segment()
        written = list(bodies)
        parts: list[Part] = []
        if self._fd < 0:
            written = [*self._preamble(), *bodies]
            parts.append(self._begin())
        now, crc = now_nanos(), self._crc
        for number, body in enumerate(written, self.next_entry):
            entry = encode_entry(body, number, now, self._seed)
            crc = crc32(memoryview(entry[0])[:ENTRY_HEADER_BYTES], crc)
            parts += entry
        length = sum(map(len, parts))
        self._append(parts, length)
        if not self._length:
            self._disk.sync_directory(self.directory)
        self._length += length
        self._crc = crc
        self.next_entry += len(written)
        return [*closed, *written]

    def _append(self, parts: Sequence[Part], length: int) -> None:
        if length <= SHORT_BYTES:
            self._write_zeros_ahead(length)
            named, free = self._disk.append(self._fd, b"".join(parts), RESERVE_BYTES)
            self._check(named, free, length)
            return
        self._check(self._disk.links(self._fd) > 0, self._disk.free_bytes(self._fd), length)
        self._write(parts, length)
        self._disk.sync(self._fd)

    def _write_zeros_ahead(self, length: int) -> None:
        """Where many such batches will follow, and the disk has room for zeros that may stay."""
        end = min(self._length + AHEAD_BYTES, self._segment_bytes)
        place = self._length + length
        if place <= self._zeros_end or 16 * length > end - self._length:
            return
        if self._disk.free_bytes(self._fd) >= AHEAD_BYTES + RESERVE_BYTES:
            self._disk.write_at(self._fd, bytes(end - place), place)
            self._zeros_end = end

    def _write(self, parts: Sequence[Part], length: int) -> None:
        """Write all; the disk has the first pieces in hand while the next are still copied."""
        pieces = list(_pieces(parts)) if length > PIECE_BYTES else [parts]
        for piece in pieces[:-1]:
            self._disk.write(self._fd, piece)
            self._disk.hasten(self._fd)
        self._disk.write(self._fd, pieces[-1])

    def _close_segment(self) -> list[Body]:
        """Write what tells that a segment is whole, without reading it: its length and checksum."""
        self._check(self._disk.links(self._fd) > 0, RESERVE_BYTES, 0)
        footer = Footer(self.next_entry - self._first_entry, self._length, self._crc)
        self._disk.write(self._fd, encode_entry(footer, self.next_entry, now_nanos(), self._seed))
        self._disk.sync(self._fd)
        self.next_entry += 1
        self._leave()
        return [footer]

    def _check(self, named: bool, free: int, wanted: int) -> None:
        """Raise for a segment that somebody removed, or a disk that is almost full."""
        if not named:
            raise FileNotFoundError(2, "somebody removed its segment")
        # Stopping while some space is left keeps HDF5, which writes after us, off the full disk.
        if free < wanted + RESERVE_BYTES:
            raise OSError(28, f"{wanted + RESERVE_BYTES} bytes are needed, {free} are free")

    def _begin(self) -> bytes:
        if self._disk.identity(self.directory) != self._identity:
            raise FileNotFoundError(2, "somebody put another directory in its place")
        paths = segment_paths(self.directory)
        number = int(paths[-1].stem.rpartition("-")[2]) + 1 if paths else 1
        self._path = segment_path(self.directory, number)
        self._fd = self._disk.create(self._path)
        self._length, self._zeros_end = 0, 0
        self._crc, self._first_entry = 0, self.next_entry
        return encode_segment_header(
            SegmentHeader(self._recording_id, number, self.next_entry, now_nanos())
        )

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):  # what counts was synced before
            self._disk.close(fd)

    def _abandon(self) -> None:
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            self._disk.truncate(self._fd, self._length)
        self._leave()
        if self._length < SEGMENT_HEADER_BYTES:
            with contextlib.suppress(OSError):
                self._disk.remove(self._path)

    def close(self) -> None:
        """Let go of the files; what was committed stays."""
        if self._fd < 0:
            return
        if self._zeros_end > self._length:
            with contextlib.suppress(OSError):  # zeros that stay harm no reader
                self._disk.truncate(self._fd, self._length)
        self._leave()
