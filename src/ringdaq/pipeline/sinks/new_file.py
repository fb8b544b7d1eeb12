"""Names of files that are not there yet, so that nothing is ever written over."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from ringdaq.errors import RecordingError


def part_of(path: Path) -> Path:
    """Where the contents of a file wait until it is complete."""
    return path.with_name(path.name + ".part")


def new_file(path: Path) -> Path:
    """The path, or NAME-2, NAME-3 and so on: the first that is not there, nor its part."""
    if not path.parent.is_dir():
        raise RecordingError(f"a sink writes into a folder that is there; this one is not: {path}")
    for number in count(1):
        found = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if not (found.exists() or part_of(found).exists()):
            return found
    raise AssertionError
