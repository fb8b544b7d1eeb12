"""A disk that notes what it is asked for, or fails, and the disk's content after any part of it."""

from __future__ import annotations

import errno
import os
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from ringdaq.recorder.disk import Disk

SECTOR = 512


class NotingDisk(Disk):
    """Notes every step as (what, file or directory, place, bytes)."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.steps: list[tuple[str, object, object, bytes]] = []
        self._files: dict[int, int] = {}
        self._made = 0

    def _name(self, path):
        return str(Path(path).relative_to(self.base))

    def create(self, path):
        fd = super().create(path)
        self._made += 1
        self._files[fd] = self._made
        self.steps.append(("create", self._made, self._name(path), b""))
        return fd

    def open(self, path):
        raise AssertionError("only a recorder that goes on opens what is there")

    def write(self, fd, parts):
        place = os.lseek(fd, 0, os.SEEK_CUR)
        self.steps.append(("write", self._files[fd], place, b"".join(parts)))
        return super().write(fd, parts)

    def write_at(self, fd, data, place):
        self.steps.append(("write", self._files[fd], place, bytes(data)))
        super().write_at(fd, data, place)

    def sync(self, fd):
        super().sync(fd)
        self.steps.append(("sync", self._files[fd], 0, b""))

    def truncate(self, fd, length):
        super().truncate(fd, length)
        self.steps.append(("truncate", self._files[fd], length, b""))

    def rename(self, old, new):
        super().rename(old, new)
        self.steps.append(("rename", self._name(old), self._name(new), b""))

    def remove(self, path):
        there = path.exists()
        super().remove(path)
        if there:
            self.steps.append(("remove", self._name(path), 0, b""))


@dataclass
class Image:
    """The content of a disk: what everybody reads, and which writes no sync has followed yet."""

    names: dict[str, int] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)
    unsynced: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)

    def apply(self, step, *, only: int | None = None) -> None:
        """Take a step; of a write, only its first bytes if told so."""
        what, one, other, data = step
        if what == "create":
            self.names[other], self.files[one], self.unsynced[one] = one, bytearray(), []
        elif what == "write":
            data = data if only is None else data[:only]
            self._write(one, other, data)
        elif what == "truncate":
            held = self.files[one]
            del held[other:]
            held.extend(bytes(other - len(held)))
        elif what == "sync":
            self.unsynced[one] = []
        elif what == "rename":
            self.names[other] = self.names.pop(one)
        elif what == "remove":
            del self.names[one]

    def _write(self, file, place, data):
        held = self.files[file]
        held.extend(bytes(max(0, place - len(held))))
        before = bytes(held[place : place + len(data)])
        held[place : place + len(data)] = data
        self.unsynced[file].append((place, before.ljust(len(data), b"\0")))

    def without_a_write(self, file: int, which: int) -> Image:
        """As after a power cut that took one write of a file which no sync had followed."""
        lost = deepcopy(self)
        place, before = self.unsynced[file][which]
        lost.files[file][place : place + len(before)] = before
        return lost

    def content(self) -> dict[str, bytes]:
        """Every file by name."""
        return {name: bytes(self.files[file]) for name, file in self.names.items()}


class FailingDisk(Disk):
    """Fails steps `first` to `first + times - 1` of those that a kind of fault can hit."""

    def __init__(self, kind: str, first: int, times: int) -> None:
        self.kind = kind
        self.count = 0
        self._hit = range(first, first + times)

    def _may_fail(self, kinds, before=lambda: None):
        if self.kind not in kinds:
            return
        self.count += 1
        if self.count - 1 in self._hit:
            before()
            number = errno.ENOSPC if self.kind == "ENOSPC" else errno.EIO
            raise OSError(number, os.strerror(number))

    def create(self, path):
        self._may_fail(("ENOSPC", "EIO"))
        return super().create(path)

    def write(self, fd, parts):
        half = b"".join(parts)
        half = half[: len(half) // 2]
        self._may_fail(("ENOSPC", "EIO"), lambda: os.write(fd, half))
        return super().write(fd, parts)

    def write_at(self, fd, data, place):
        half = bytes(data[: len(data) // 2])
        self._may_fail(("ENOSPC", "EIO"), lambda: os.pwrite(fd, half, place))
        super().write_at(fd, data, place)

    def sync(self, fd):
        self._may_fail(("fsync",))
        super().sync(fd)

    def truncate(self, fd, length):
        self._may_fail(("EIO",))
        super().truncate(fd, length)

    def rename(self, old, new):
        self._may_fail(("ENOSPC", "EIO"))
        super().rename(old, new)

    def sync_directory(self, path):
        self._may_fail(("fsync",))
        super().sync_directory(path)
