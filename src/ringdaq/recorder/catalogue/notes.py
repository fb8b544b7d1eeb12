"""What people add to a recording afterwards: a text, tags and keys, in a small file beside it.

A sealed recording is never written again, and the index must be made from files alone.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ringdaq.errors import BadRequestError, RecordingError

SUFFIX = ".notes.json"
MAX_CHARS = 20_000
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TAG = re.compile(r"[^\s,]{1,64}")


@dataclass(frozen=True, slots=True)
class Notes:
    """What was added."""

    note: str = ""
    tags: tuple[str, ...] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)

    def changed(
        self,
        *,
        note: str | None = None,
        keys: Mapping[str, Any] | None = None,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
    ) -> Notes:
        """The notes with changes; a key of value `None` is taken away."""
        for key, value in (keys or {}).items():
            _check_key(key, value)
        tags = {*self.tags, *(_checked_tag(tag) for tag in add_tags)} - {*remove_tags}
        merged = {k: v for k, v in {**self.keys, **(keys or {})}.items() if v is not None}
        if note is not None and len(note) > MAX_CHARS:
            raise BadRequestError(f"a note may have {MAX_CHARS} characters; found {len(note)}")
        return Notes(self.note if note is None else note, tuple(sorted(tags)), merged)


def _check_key(key: str, value: Any) -> None:
    if not _KEY.fullmatch(key):
        raise BadRequestError(
            f"a key must be 1 to 64 letters, digits and '_', and begin with no digit; found {key!r}"
        )
    if not isinstance(value, str | int | float | bool | None) or len(str(value)) > MAX_CHARS:
        raise BadRequestError(f"the value of {key!r} must be a text, a number or a truth value")


def _checked_tag(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise BadRequestError(
            f"a tag must be 1 to 64 characters without spaces and commas; found {tag!r}"
        )
    return tag


def notes_path(file: Path) -> Path:
    """Where the notes of a recording lie."""
    return file.with_name(file.name + SUFFIX)


def read_notes(file: Path) -> Notes:
    """The notes of a recording; none if there is no such file."""
    path = notes_path(file)
    try:
        plain = json.loads(path.read_text())
        return Notes(str(plain["note"]), tuple(map(str, plain["tags"])), dict(plain["keys"]))
    except FileNotFoundError:
        return Notes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"the notes of a recording are damaged ({error!r}): {path}") from error


def write_notes(file: Path, notes: Notes) -> None:
    """Put notes beside a recording, whole or not at all."""
    path = notes_path(file)
    fd, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "w") as out:
            json.dump(asdict(notes), out, ensure_ascii=False, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
