"""What a journal asks of the operating system, in one place, so that tests can make it fail."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


class Disk:
    """File operations that either succeed whole or raise `OSError`."""

    def create(self, path: Path) -> int:
        """A new, empty file, open for writing; raises `FileExistsError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o640)

    def write(self, fd: int, parts: Sequence[bytes | memoryview]) -> int:
        """Write all parts at the end of the file, however often the kernel takes only some."""
        data = memoryview(b"".join(parts))
        total = len(data)
        while data:
            data = data[os.write(fd, data) :]
        return total

    def sync(self, fd: int) -> None:
        """Return when the file's data are on the medium."""
        os.fdatasync(fd)

    def truncate(self, fd: int, length: int) -> None:
        """Cut the file."""
        os.ftruncate(fd, length)
        os.lseek(fd, length, os.SEEK_SET)

    def sync_directory(self, path: Path) -> None:
        """Return when the directory's names are on the medium."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user may still write there."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def links(self, fd: int) -> int:
        """How many names the file still has; none means that somebody removed it."""
        return os.fstat(fd).st_nlink

    def identity(self, path: Path) -> tuple[int, int]:
        """What tells a directory from another one of the same name."""
        status = os.stat(path)
        return status.st_dev, status.st_ino
