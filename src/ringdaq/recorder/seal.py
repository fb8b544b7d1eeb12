"""The mark that a recording is done: its journal need not be looked at again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError
from ringdaq.recorder.description import Description
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.journal import SUFFIX, segment_paths

MARK = "sealed.json"


def mark_sealed(
    description: Description,
    streams: Mapping[str, Mapping[str, int]],
    ends: Mapping[str, tuple[int, int]],
    *,
    keep_journal: bool,
    disk: Disk,
) -> None:
    """Note beside the journal that its file is whole, and remove the journal if it is not kept.

    `ends` tells by generation where its ring was then: the next record, and the rows before it.
    """
    directory = description.directory
    plain: dict[str, Any] = {
        "recording_id": description.recording_id,
        "file": str(description.file),
        "streams": streams,
        "ends": ends,
    }
    draft = directory / f".{MARK}"
    disk.remove(draft)
    fd = disk.create(draft)
    try:
        disk.write(fd, [json.dumps(plain, ensure_ascii=False, indent=1).encode()])
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(draft, directory / MARK)
    disk.sync_directory(directory)
    if not keep_journal:
        for path in segment_paths(directory):
            disk.remove(path)
        disk.sync_directory(directory)


def read_mark(directory: Path) -> dict[str, Any] | None:
    """What `mark_sealed` noted of the journal's recording; `None` if it is not sealed.

    Raises `RecordingError` for a mark that cannot be read.
    """
    path = directory / MARK
    try:
        noted: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RecordingError(
            f"the mark of a sealed recording should be JSON, and is not ({error}); remove it, "
            f"and 'ringdaq recover {directory}' makes the file anew from the journal: {path}"
        ) from error
    return noted


def unsealed(data_directory: Path) -> Iterator[Path]:
    """The journals below a directory whose recordings nobody has finished."""
    found = {path.parent for path in data_directory.rglob(f"segment-*{SUFFIX}")}
    yield from sorted(directory for directory in found if not (directory / MARK).exists())
