"""A recording as the catalogue keeps it, read from its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError, StreamError
from ringdaq.model import check_name
from ringdaq.recorder.catalogue.notes import Notes, notes_path, read_notes

MAX_TEXT = 4000
# What h5py raises, or what follows, where a file of another program lacks or has something.
STRANGE = (
    LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError,
)  # fmt: skip
Fact = tuple[str, str, str | None, float | None]
"""Source, key, text, number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording."""

    values: dict[str, Any]
    """The columns of the table `recordings`."""
    streams: list[dict[str, Any]]
    facts: list[Fact]


def fingerprint(file: Path) -> tuple[int, int]:
    """Size and time of change, of the notes too: what tells that a recording is not as it was."""
    found = file.stat()
    notes = notes_path(file)
    noted = notes.stat().st_mtime_ns if notes.is_file() else 0
    return found.st_size, max(found.st_mtime_ns, noted)


def checked_id(recording_id: str, file: Path) -> str:
    """The id, if it is a plain name: a journal is deleted by it, so it may lead nowhere else."""
    try:
        return check_name(recording_id, "recording")
    except StreamError as error:
        raise RecordingError(
            f"{error}; take this file out of the data directory by hand: {file}"
        ) from error


def read_entry(file: Path) -> Entry:
    """Read a recording's file and its notes; raises `RecordingError` if it is no recording."""
    try:
        return _read(file)
    except STRANGE as error:
        raise RecordingError(
            f"a file that ringdaq recorded is needed; this one cannot be read as such "
            f"({error!r}): {file}"
        ) from error


def _read(file: Path) -> Entry:
    from ringdaq.recorder.readback import RecordedFile

    size, changed = fingerprint(file)
    with RecordedFile(file) as found:
        about = found.about()
        streams = [_stream(name, stream) for name, stream in found.streams.items()]
    notes = read_notes(file)
    lasts = [s["last_nanos"] for s in streams if s["last_nanos"]]
    ended = int(about["end"].get("ended_nanos") or 0)
    values = {
        "recording_id": checked_id(about["recording_id"], file),
        "run_id": about["run_id"],
        "title": about["title"],
        "script": about["script"]["name"],
        "script_hash": about["script"]["hash"],
        "user": about["user"],
        "state": about["state"],
        "sealed": int(about["sealed"]),
        "simulated": int(any(s.pop("simulated") for s in streams)),
        "start_nanos": about["started_nanos"],
        "end_nanos": ended or max([about["ended_nanos"], *lasts]),
        "rows": sum(s["rows"] for s in streams),
        "lost_rows": sum(s["gap_rows"] for s in streams),
        "size_bytes": size,
        "changed_nanos": changed,
        "note": notes.note,
        "about": json.dumps(about, ensure_ascii=False, default=str),
    }
    return Entry(values, streams, [*_facts(about), *note_facts(notes)])


def begun_entry(description: Mapping[str, Any]) -> Entry:
    """The same of a recording whose file has no rows yet, from its description."""
    script = {"name": "", "hash": "", "text": "", "parameters": {}} | (
        description.get("script") or {}
    )
    instruments = {
        one["name"]: {"settings": {}, **one, "settings_after": {}}
        for one in description.get("instruments") or ()
    }
    about = {
        **{key: description.get(key) or {} for key in ("rig", "versions")},
        **{key: description[key] for key in ("recording_id", "run_id", "title", "user")},
        "script": script,
        "instruments": instruments,
        "metadata": {},
        "end": {},
        "state": "recording",
    }
    began = int(description["started_nanos"])
    values = {
        **{key: description[key] for key in ("recording_id", "run_id", "title", "user")},
        "script": script["name"],
        "script_hash": script["hash"],
        "state": "recording",
        "sealed": 0,
        "simulated": int(any(s["spec"]["simulated"] for s in description["streams"])),
        "start_nanos": began,
        "end_nanos": began,
        **dict.fromkeys(("rows", "lost_rows", "size_bytes", "changed_nanos"), 0),
        "note": "",
        "about": json.dumps(about, ensure_ascii=False, default=str),
    }
    streams = [_begun_stream(s["spec"], began) for s in description["streams"]]
    return Entry(values, streams, [*_facts(about)])


def _begun_stream(spec: Mapping[str, Any], began: int) -> dict[str, Any]:
    return {
        "stream": spec["name"],
        "path": "",
        "kind": spec["kind"],
        "instrument": spec["instrument"],
        "rows": 0,
        "gap_rows": 0,
        "first_nanos": began,
        "last_nanos": began,
    }


def _stream(name: str, stream: Any) -> dict[str, Any]:
    ends = [int(stream.times(row, row + 1)[0]) for row in (0, stream.rows - 1) if stream.rows]
    return {
        "stream": stream.spec.name,
        "path": name,
        "kind": stream.spec.kind,
        "instrument": stream.spec.instrument,
        "simulated": stream.spec.simulated,
        "rows": stream.rows,
        "gap_rows": stream.gap_rows,
        "first_nanos": ends[0] if ends else 0,
        "last_nanos": ends[-1] if ends else 0,
    }


def _facts(about: Mapping[str, Any]) -> Iterator[Fact]:
    for key, value in about["script"]["parameters"].items():
        yield _fact("parameter", key, value)
    for key, value in about["metadata"].items():
        yield _fact("metadata", key, value)
    for name, instrument in about["instruments"].items():
        for key, held in instrument["settings"].items():
            yield _fact("setting", f"{name}.{key}", held["value"])


def note_facts(notes: Notes) -> Iterator[Fact]:
    """What people added, as facts."""
    for tag in notes.tags:
        yield ("tag", "tag", tag, None)
    for key, value in notes.keys.items():
        yield _fact("key", key, value)


def _fact(source: str, key: str, value: Any) -> Fact:
    number = float(value) if isinstance(value, int | float) else None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return source, key, text[:MAX_TEXT], number
