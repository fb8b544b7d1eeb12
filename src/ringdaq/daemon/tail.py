"""Entries that are on their way to the database, kept in a file's memory meanwhile.

What is written into mapped memory costs no system call, and outlives the process that wrote it:
the kernel keeps the page, whatever kills the daemon. A power cut may still take it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

HALF_BYTES = 1 << 19
_WORD = 4


class Tail:
    """Two halves, of which one takes entries while the other's go to the database.

    An entry is its length, 4 bytes little-endian, and its bytes. The length is written last, so
    an entry is there in whole or not at all; a length of zero ends a half.
    """

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, 2 * HALF_BYTES)  # a hole could not be filled on a full disk
            self._map = mmap.mmap(fd, 2 * HALF_BYTES)
        finally:
            os.close(fd)
        self._half, self._at = 0, 0

    def left(self) -> list[bytes]:
        """What an earlier process left, in no order."""
        return [*self._entries(0), *self._entries(HALF_BYTES)]

    def _entries(self, start: int) -> Iterator[bytes]:
        at, end = start, start + HALF_BYTES - _WORD
        while at < end and (size := int.from_bytes(self._map[at : at + _WORD], "little")):
            if at + size > end:
                return  # no entry of ours is that long
            yield self._map[at + _WORD : at + _WORD + size]
            at += _WORD + size

    def add(self, entry: bytes) -> bool:
        """Keep an entry; `False` where there is no room before the next `swap`."""
        size, at = len(entry), self._at
        # Behind it there must be room for the zero that ends the half.
        if at + size + 2 * _WORD > HALF_BYTES:
            return False
        place = self._half + at
        body = place + _WORD
        self._map[body : body + size + _WORD] = entry + b"\0\0\0\0"
        self._map[place:body] = size.to_bytes(_WORD, "little")
        self._at = at + _WORD + size
        return True

    def swap(self) -> None:
        """Take what comes next into the other half, which must have been cleared."""
        self._half, self._at = HALF_BYTES - self._half, 0

    def clear_other(self) -> None:
        """Forget the half that takes no entries now: they are safe elsewhere."""
        other = HALF_BYTES - self._half
        self._map[other : other + _WORD] = bytes(_WORD)

    def clear(self) -> None:
        """Forget everything."""
        self.clear_other()
        self._map[self._half : self._half + _WORD] = bytes(_WORD)
        self._at = 0
