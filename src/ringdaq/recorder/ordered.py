"""The bytes of a growing HDF5 file, put on the disk in an order that a kill cannot hurt.

HDF5 writes the new length of a dataset before the tree that leads to its new rows.
Killed in between, it leaves a file with rows of zeros that nobody measured, or with texts that
nobody can read.
Here HDF5 writes into memory, and `commit` brings that to the file: first what nothing leads to yet,
then the file's end, then what is rewritten in place, the lengths of datasets last.
Every step is one write of one object, so each dataset is as before or as after it.
Of chunks, only the pages that change are written: a chunk that is hardly begun takes hardly any
room on the disk, and one that goes on growing is not written again and again.
An error of the disk leaves the rest in memory for the next try; HDF5 never learns of it.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from ringdaq.recorder.disk import Disk

_OBJECT_HEADER_PREFIX_BYTES = 16
_MESSAGE_PREFIX_BYTES = 8
_MAX_MESSAGE = 0x18
_MAX_EMPTY_BYTES = 1024
PAGE_BYTES = 4096
_EMPTY_PAGE = bytes(PAGE_BYTES)
# What is smaller is written whole.
CHUNK_BYTES = 64 << 10
# Brought to the medium at once, so that it does not heap up in memory until the end.
HASTE_BYTES = 4 << 20
# Steps of a commit, for what is rewritten in place.
_SUPERBLOCK, _HEAP, _DATA, _TREE, _NAMES, _HEADER = range(6)
_SIGNATURES = {
    b"HEAP": _HEAP,
    b"GCOL": _HEAP,
    b"SNOD": _NAMES,
    b"OHDR": _HEADER,
    b"OCHK": _HEADER,
}


class Extents:
    """Bytes at places of a file; the newest win where they overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._held: dict[int, bytes] = {}

    def put(self, start: int, data: bytes) -> None:
        """Remember bytes."""
        if len(self._held.get(start, b"")) != len(data):
            self.cut(start, start + len(data))
            self._starts.insert(bisect_right(self._starts, start), start)
        self._held[start] = data

    def cut(self, start: int, stop: int) -> None:
        """Forget what lies between two places."""
        for place, data in self.between(start, stop):
            self.remove(place)
            left, right = data[: max(0, start - place)], data[stop - place :]
            if left:
                self.put(place, left)
            if place + len(data) > stop:
                self.put(stop, right)

    def remove(self, start: int) -> None:
        """Forget the bytes that begin there."""
        del self._held[start]
        del self._starts[bisect_right(self._starts, start) - 1]

    def between(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        """All that reaches into a range, by place."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, stop - 1)
        found = [(place, self._held[place]) for place in self._starts[first:last]]
        return [(place, data) for place, data in found if place + len(data) > start]

    def all(self) -> list[tuple[int, bytes]]:
        """Everything, by place."""
        return [(place, self._held[place]) for place in self._starts]


class NotWrittenError(Exception):
    """The disk did not take what HDF5 wrote; it is kept in memory, and may be written again."""


class OrderedFile:
    """A file object for `h5py.File`; what HDF5 writes counts after `commit`."""

    def __init__(self, path: Path, disk: Disk) -> None:
        """Begin an empty file; one of that name is replaced."""
        self._disk = disk
        disk.remove(path)
        self._fd = disk.create(path)
        disk.forbid_writers(self._fd)
        self._place = 0
        self._end = 0
        """Where the file shall end."""
        self._committed = 0
        """Where it ends for those who read it."""
        self._waiting = Extents()
        self._error: OSError | None = None
        self._deaf = False
        self._idle_bytes = 0
        """Written at the end since the disk was told to begin with what it has."""

    # --- what HDF5 calls

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the beginning or from the end."""
        self._place = place + (self._end if whence == os.SEEK_END else 0)
        return self._place

    def tell(self) -> int:
        """The place where the next call goes on."""
        return self._place

    def write(self, data: memoryview) -> int:
        """Take bytes; those that nothing leads to yet go to the disk at once."""
        if self._deaf:
            return len(data)
        start, self._place = self._place, self._place + len(data)
        self._end = max(self._end, self._place)
        if start < self._committed or self._error is not None:
            self._waiting.put(start, bytes(data))
            return len(data)
        try:
            self._write_beyond(data, start)
        except OSError as error:
            self._error = error
            self._waiting.put(start, bytes(data))
        return len(data)

    def _write_beyond(self, data: bytes | memoryview, place: int) -> None:
        """Write where the file has nothing yet; zeros at the end are there by themselves."""
        if len(data) >= CHUNK_BYTES and bytes(data[-PAGE_BYTES:]) == _EMPTY_PAGE:
            data = bytes(data).rstrip(b"\0")
        self._disk.write_at(self._fd, data, place)
        self._idle_bytes += len(data)
        if self._idle_bytes >= HASTE_BYTES:
            self._idle_bytes = 0
            self._disk.hasten(self._fd)

    def readinto(self, target: memoryview) -> int:
        """Give bytes as HDF5 wrote them; there are zeros where it did not."""
        start, self._place = self._place, self._place + len(target)
        view = memoryview(target).cast("B")
        read = os.preadv(self._fd, [view], start)
        view[read:] = bytes(len(view) - read)
        for place, data in self._waiting.between(start, start + len(view)):
            first, last = max(place, start), min(place + len(data), start + len(view))
            view[first - start : last - start] = data[first - place : last - place]
        return len(view)

    def truncate(self, size: int) -> int:
        """Take a new end of the file."""
        if not self._deaf:
            self._end = size
            self._waiting.cut(size, 1 << 62)
        return size

    def flush(self) -> None:
        """HDF5 has written all it had; `commit` does the rest."""

    # --- what the recorder calls

    def check(self) -> None:
        """Raise `NotWrittenError` while an error of the disk keeps bytes in memory."""
        if self._error is not None:
            raise NotWrittenError(self._error.strerror or str(self._error)) from self._error

    def commit(self) -> None:
        """Bring everything to the file; raises `NotWrittenError`, and may then be called again."""
        self._error = None
        try:
            self._commit()
        except OSError as error:
            self._error = error
        self.check()

    def _commit(self) -> None:
        self._write_new()
        self._write_in_place()
        if self._end < self._committed:
            self._disk.truncate(self._fd, self._end)
        self._committed = self._end

    def _write_new(self) -> None:
        for place, data in self._waiting.between(self._committed, 1 << 62):
            if place < self._committed:
                continue
            self._write_beyond(data, place)
            self._waiting.remove(place)
        if self._end > self._committed:
            self._disk.truncate(self._fd, self._end)

    def _write_in_place(self) -> None:
        for place, data in sorted(self._waiting.all(), key=_step):
            for start, changed in self._changed(place, data):
                self._disk.write_at(self._fd, changed, start)
            self._waiting.remove(place)

    def _changed(self, place: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The pages that the file does not hold like this; what is small or no chunk, whole."""
        if len(data) < CHUNK_BYTES or _step((place, data))[0] != _DATA:
            yield place, data
            return
        held = os.pread(self._fd, len(data), place).ljust(len(data), b"\0")
        for start in range(0, len(data), PAGE_BYTES):
            page = data[start : start + PAGE_BYTES]
            if page != held[start : start + PAGE_BYTES]:
                yield place + start, page

    def sync(self) -> None:
        """Return when what was committed is on the medium."""
        self._disk.sync(self._fd)

    def be_deaf(self) -> None:
        """Take nothing more: the file stays as it was committed last, whatever HDF5 does."""
        self._deaf = True

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            self._disk.close(self._fd)
        self._fd = -1


def _step(extent: tuple[int, bytes]) -> tuple[int, int, int]:
    """When to rewrite something in place: by its step, roots of trees before their leaves."""
    place, data = extent
    if place == 0:
        return _SUPERBLOCK, 0, place
    if data[:4] == b"TREE":
        return _TREE, -data[5], place
    known = _SIGNATURES.get(data[:4])
    if known is None:
        known = _HEADER if _is_object_header(data) else _DATA
    # A group that lies in another was made later: its names come first.
    return known, 0, -place if known == _NAMES else place


def _is_object_header(data: bytes) -> bool:
    """Version 1, a count of messages, one reference, and a size that says how long it is."""
    size = int.from_bytes(data[8:12], "little") + _OBJECT_HEADER_PREFIX_BYTES
    return (data[:2] == b"\1\0" and size == len(data)) or _is_continuation(data)


def _is_continuation(data: bytes) -> bool:
    """Messages that fill a block to its end: type, size, flags and three zeros before each."""
    place, found = 0, False
    while place + _MESSAGE_PREFIX_BYTES <= len(data):
        kind = int.from_bytes(data[place : place + 2], "little")
        size = int.from_bytes(data[place + 2 : place + 4], "little")
        if kind > _MAX_MESSAGE or any(data[place + 5 : place + 8]) or (kind and not size):
            return False
        if not found and place > _MAX_EMPTY_BYTES:
            return False  # zeros are data
        found = found or kind > 0
        place += _MESSAGE_PREFIX_BYTES + size
    return found and place == len(data)
