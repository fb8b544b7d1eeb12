"""Files that are not there yet, so that nothing is written over, and that hold whole pieces."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import FileIO
from itertools import count
from pathlib import Path

from ringdaq.errors import RecordingError

log = logging.getLogger(__name__)


def part_of(path: Path) -> Path:
    """Where the contents of a file wait until it is complete."""
    return path.with_name(path.name + ".part")


def new_files(path: Path) -> Iterator[Path]:
    """The path, NAME-2, NAME-3 and so on: those that are not there, nor their parts."""
    for number in count(1):
        if not path.parent.is_dir():
            raise RecordingError(
                f"a sink writes into a folder that is there; this one is not: {path}"
            )
        found = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if part_of(found).exists():
            log.warning("somebody writes this, or died before it was complete: %s", part_of(found))
        elif not found.exists():
            yield found


def make_file(path: Path) -> FileIO:
    """A file that is not there, to `append` to; a `RecordingError` says why it cannot be made."""
    try:
        return FileIO(path, "x")
    except OSError as error:
        raise RecordingError(f"the file cannot be made ({error.strerror}): {path}") from error


def append(file: FileIO, data: bytes | memoryview) -> None:
    """Write all of it, or raise and leave the file as it was: a full disk cuts nothing in two."""
    begin, left = file.tell(), memoryview(data).cast("B")
    try:
        while left:
            left = left[file.write(left) :]
    except OSError:
        file.seek(begin)
        file.truncate()
        raise
