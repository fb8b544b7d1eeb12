"""What a journal asks of the operating system, in one place, so that tests can make it fail."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ringdaq.recorder.native import append_durably, start_writeback

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
# The kernel takes no more in one call.
MAX_PARTS = 1024


class Disk:
    """File operations that either succeed whole or raise `OSError`."""

    def create(self, path: Path) -> int:
        """A new, empty file, open for writing; raises `FileExistsError`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o640)

    def open(self, path: Path) -> int:
        """An existing file, open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def forbid_writers(self, fd: int) -> None:
        """Let nobody open the file with HDF5 but for reading, as long as it is open here.

        HDF5 asks for a lock: a shared one to read, one of its own to write.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("this file system has no locks: do not open growing files for writing")

    def close(self, fd: int) -> None:
        """Let go of a file."""
        os.close(fd)

    def write(self, fd: int, parts: Sequence[bytes | memoryview]) -> int:
        """Write all parts at the end of the file, however often the kernel takes only some."""
        waiting = parts
        while waiting:
            waiting = _after(os.writev(fd, waiting[:MAX_PARTS]), waiting)
        return sum(map(len, parts))

    def write_at(self, fd: int, data: bytes | memoryview, place: int) -> None:
        """Write all bytes at a place, however often the kernel takes only some."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, place)
            view, place = view[written:], place + written

    def sync(self, fd: int) -> None:
        """Return when the file's data are on the medium."""
        os.fdatasync(fd)

    def append(self, fd: int, data: bytes, spare: int) -> tuple[bool, int]:
        """Write bytes at the end of the file and return when they are on the medium.

        Nothing is written to a file without a name, or where fewer than `spare` bytes would stay
        free. Returns whether it had one and the bytes that were free.
        """
        named, free = self.links(fd) > 0, self.free_bytes(fd)
        if named and free >= len(data) + spare:
            self.write(fd, [data])
            self.sync(fd)
        return named, free

    def hasten(self, fd: int) -> None:
        """Let the kernel begin to bring what was written to the medium; `sync` waits less then."""
        start_writeback(fd)

    def truncate(self, fd: int, length: int) -> None:
        """Let the file end there; the next `write` goes on there."""
        os.ftruncate(fd, length)
        os.lseek(fd, length, os.SEEK_SET)

    def distrust(self, fd: int) -> None:
        """Let the kernel forget what it holds of the file, so that reading tells what is kept.

        After a failed sync it may hold pages as written that never reached the medium.
        """
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name; one that had that name is replaced."""
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        """Take a file away, if it is there."""
        path.unlink(missing_ok=True)

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, names durable; one that is there stays."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(exist_ok=True)
        self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """Return when the directory's names are on the medium."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path | int) -> int:
        """Bytes that an ordinary user may still write there; an open file is found sooner."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def links(self, fd: int) -> int:
        """How many names the file still has; none means that somebody removed it."""
        return os.fstat(fd).st_nlink

    def identity(self, path: Path) -> tuple[int, int]:
        """What tells a directory from another one of the same name."""
        status = os.stat(path)
        return status.st_dev, status.st_ino


class QuickDisk(Disk):
    """Appends in one call, which comes back to Python once."""

    def append(self, fd: int, data: bytes, spare: int) -> tuple[bool, int]:
        """As above."""
        return append_durably(fd, data, spare)


def _after(written: int, parts: Sequence[bytes | memoryview]) -> Sequence[bytes | memoryview]:
    """What is left of parts when so many bytes of them are written."""
    for place, part in enumerate(parts):
        if written < len(part):
            return [memoryview(part)[written:], *parts[place + 1 :]]
        written -= len(part)
    return ()
