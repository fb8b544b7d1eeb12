"""The rings of a directory: which is the newest of each stream, and which follows which."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ringdaq.errors import StreamError
from ringdaq.model import StreamSpec
from ringdaq.streams import RingDirectory, StreamReader


@dataclass(frozen=True, slots=True)
class Place:
    """Which ring of a stream: numbers of paths begin anew once all earlier rings were removed."""

    path: Path
    made_nanos: int
    """By the file system's clock."""
    generation: str
    """Empty for a ring that could not be read."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What must be known of a ring before its records can be read."""

    place: Place
    spec: StreamSpec
    schema_ipc: bytes
    """The schema as an Arrow IPC message."""

    @property
    def generation(self) -> str:
        """Identity of the ring."""
        return self.place.generation

    @classmethod
    def of(cls, reader: StreamReader) -> Ring:
        """The ring that a reader has open."""
        place = Place(reader.path, reader.made_nanos, reader.generation)
        return cls(place, reader.spec, reader.schema_ipc)


_Stamp = tuple[int, int]


class RingFiles:
    """Looks at rings; opens each once. Any thread may ask."""

    def __init__(self, directory: Path) -> None:
        self._directory = RingDirectory(directory)
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[_Stamp, Ring]] = {}

    def newest(self) -> dict[str, Path]:
        """The newest ring of each stream, from one look at the directory."""
        found = self._directory.newest_of_all()
        there = set(found.values())
        with self._lock:
            self._known = {path: one for path, one in self._known.items() if path in there}
        return found

    def read(self, path: Path) -> Ring:
        """What a ring carries; raises `UnknownStreamError` if it is gone, or another `StreamError`.

        A ring is opened again only where another file has come to its place.
        """
        stamp = _stamp(path)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        with StreamReader.open(path) as reader:
            ring = Ring.of(reader)
        if stamp is not None:
            with self._lock:
                self._known[path] = stamp, ring
        return ring

    def place(self, path: Path) -> Place:
        """The place of a ring that cannot be read."""
        stamp = _stamp(path)
        return Place(path, 0 if stamp is None else stamp[1], "")

    def first(self, stream: str) -> Path | None:
        """The oldest ring of a stream."""
        return next(iter(self._directory.generations(stream)), None)

    def after(self, stream: str, place: Place) -> Path | None:
        """The ring of a stream that follows one, if there is one by now."""
        if self._in_place(place):
            paths = self._directory.generations(stream)
            return next((path for path in paths if path > place.path), None)
        return next(iter(self._directory.made_after(stream, place.made_nanos)), None)

    def _in_place(self, place: Place) -> bool:
        """Whether a ring is still there: not removed, nor another one at its path."""
        if not place.generation:
            return self.place(place.path) == place
        with suppress(StreamError):
            return self.read(place.path).generation == place.generation
        return False


def _stamp(path: Path) -> _Stamp | None:
    """Tells a file from another one at its path; `None` if there is none.

    Writing to mapped memory may change it on a disk: then the same ring is opened once more.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
