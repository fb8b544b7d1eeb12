"""The mark that a recording is done: its journal need not be looked at again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ringdaq.recorder.description import Description
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.journal import SUFFIX, segment_paths

MARK = "sealed.json"


def mark_sealed(
    description: Description,
    streams: Mapping[str, Mapping[str, int]],
    *,
    keep_journal: bool,
    disk: Disk,
) -> None:
    """Note beside the journal that its file is whole, and remove the journal if it is not kept."""
    directory = description.directory
    plain: dict[str, Any] = {
        "recording_id": description.recording_id,
        "file": str(description.file),
        "streams": streams,
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
    """What `mark_sealed` noted of the journal's recording; `None` if it is not sealed."""
    try:
        noted: dict[str, Any] = json.loads((directory / MARK).read_bytes())
    except FileNotFoundError:
        return None
    return noted


def unsealed(data_directory: Path) -> Iterator[Path]:
    """The journals below a directory whose recordings nobody has finished."""
    found = {path.parent for path in data_directory.rglob(f"segment-*{SUFFIX}")}
    yield from sorted(directory for directory in found if not (directory / MARK).exists())
