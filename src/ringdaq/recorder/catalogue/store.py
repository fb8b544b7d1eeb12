"""The catalogue's database: one SQLite file in the data directory, read and written by many.

It says nothing that is not in the files, so it may be lost, and is made again by `refresh`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringdaq.errors import BadRequestError, BusyError, RecordingError, UnknownRunError
from ringdaq.recorder.catalogue.entry import (
    Entry,
    begun_entry,
    checked_id,
    fingerprint,
    note_facts,
    read_entry,
)
from ringdaq.recorder.catalogue.notes import Notes, notes_path, read_notes, write_notes
from ringdaq.recorder.catalogue.query import to_sql

log = logging.getLogger(__name__)

NAME = "catalogue.sqlite"
VERSION = 1
BUSY_SECS = 10.0
MAX_FOUND = 10_000
UNSTORABLE = (OverflowError, UnicodeError, sqlite3.DataError, sqlite3.IntegrityError)
COLUMNS = (
    "recording_id", "run_id", "file", "title", "script", "script_hash", "user", "state", "sealed",
    "simulated", "start_nanos", "end_nanos", "rows", "lost_rows", "size_bytes", "changed_nanos",
    "note", "about",
)  # fmt: skip
STREAM_COLUMNS = (
    "stream", "path", "kind", "instrument", "rows", "gap_rows", "first_nanos", "last_nanos",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE recordings (
  recording_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, file TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL, script TEXT NOT NULL, script_hash TEXT NOT NULL, user TEXT NOT NULL,
  state TEXT NOT NULL, sealed INTEGER NOT NULL, simulated INTEGER NOT NULL,
  start_nanos INTEGER NOT NULL, end_nanos INTEGER NOT NULL, rows INTEGER NOT NULL,
  lost_rows INTEGER NOT NULL, size_bytes INTEGER NOT NULL, changed_nanos INTEGER NOT NULL,
  note TEXT NOT NULL, about TEXT NOT NULL
) STRICT;
CREATE INDEX recordings_by_time ON recordings (start_nanos);
CREATE TABLE streams (
  recording_id TEXT NOT NULL REFERENCES recordings ON DELETE CASCADE,
  stream TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, instrument TEXT NOT NULL,
  rows INTEGER NOT NULL, gap_rows INTEGER NOT NULL,
  first_nanos INTEGER NOT NULL, last_nanos INTEGER NOT NULL
) STRICT;
CREATE INDEX streams_by_name ON streams (stream, last_nanos);
CREATE INDEX streams_by_recording ON streams (recording_id);
CREATE TABLE facts (
  recording_id TEXT NOT NULL REFERENCES recordings ON DELETE CASCADE,
  source TEXT NOT NULL, key TEXT NOT NULL, text TEXT, number REAL
) STRICT;
CREATE INDEX facts_by_key ON facts (key, number, text);
CREATE INDEX facts_by_recording ON facts (recording_id, key);
"""


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """Where rows of a stream lie on disk."""

    file: Path
    path: str
    """The stream's group in the file."""
    first_nanos: int
    last_nanos: int
    sealed: bool


class Catalogue:
    """All recordings of one data directory; threads and processes may share it."""

    def __init__(self, data_directory: Path) -> None:
        self.directory = Path(data_directory)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            self.directory / NAME, timeout=BUSY_SECS, check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._make_tables()
        except BaseException:
            self._db.close()
            raise

    def _make_tables(self) -> None:
        with self._change() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == VERSION:
                return
            for table in ("facts", "streams", "recordings"):  # of another version: made anew
                db.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction; another process that changes something waits for its end."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise BusyError(
                    f"the catalogue should be free within {BUSY_SECS:g} s and is not ({error}): "
                    f"{self.directory / NAME}"
                ) from error
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has often ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _ask(self, sql: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()

    # --- kept up to the files

    def note(self, file: Path) -> None:
        """Take a recording in, or take in what has changed in it."""
        self._save(self._relative(file), read_entry(file))

    def refresh(self) -> dict[str, list[str]]:
        """Look through the directory for files that are new, changed or gone.

        Returns the files that were `read`, those that are `gone`, and `refused`: no recordings.
        """
        return self._look_through(self._known())

    def reindex(self) -> dict[str, list[str]]:
        """Read all files anew; what is known of a file that is refused now stays. See `refresh`."""
        return self._look_through({})

    def _known(self) -> dict[str, tuple[int, int]]:
        rows = self._ask("SELECT file, size_bytes, changed_nanos FROM recordings")
        return {row["file"]: (row["size_bytes"], row["changed_nanos"]) for row in rows}

    def _look_through(self, unchanged: Mapping[str, tuple[int, int]]) -> dict[str, list[str]]:
        report: dict[str, list[str]] = {"read": [], "gone": [], "refused": []}
        before = {*self._known()}
        present = {self._look_at(file, unchanged, report) for file in self._files()}
        report["gone"] = sorted(before - present)
        with self._change() as db:
            for name in report["gone"]:
                db.execute("DELETE FROM recordings WHERE file = ?", (name,))
        return report

    def _files(self) -> Iterator[Path]:
        for file in sorted(self.directory.rglob("*.h5")):
            inside = file.relative_to(self.directory)
            if not file.name.startswith(".") and "journals" not in inside.parts:
                yield file

    def _look_at(
        self, file: Path, unchanged: Mapping[str, tuple[int, int]], report: dict[str, list[str]]
    ) -> str:
        """Take a file in, if it changed; returns its name."""
        name = str(file.relative_to(self.directory))
        try:
            name = self._relative(file)
            if unchanged.get(name) != fingerprint(file):
                self._save(name, read_entry(file))
                report["read"].append(name)
        except (OSError, RecordingError) as error:
            log.warning("not in the catalogue: %s", error)
            report["refused"].append(name)
        return name

    def _relative(self, file: Path) -> str:
        try:
            return str(Path(file).resolve().relative_to(self.directory.resolve()))
        except (ValueError, RuntimeError) as error:  # a link to elsewhere, or to itself
            raise RecordingError(
                f"a recording must lie in {self.directory}; this one does not ({error}): {file}"
            ) from error

    def _save(self, name: str, entry: Entry) -> None:
        try:
            with self._change() as db:
                _put_entry(db, name, entry)
        except UNSTORABLE as error:
            raise RecordingError(
                f"a recording's times, counts and texts must fit into the catalogue; "
                f"those of this one do not ({error}): {self.directory / name}"
            ) from error

    def begin(self, description: Mapping[str, Any]) -> None:
        """Take in a recording that has just begun, by what the daemon says of it."""
        entry = begun_entry(description)
        self._save(self._relative(Path(description["file"])), entry)

    # --- asked

    def find(self, wish: str = "", *, limit: int = 100) -> list[dict[str, Any]]:
        """Recordings that fulfil a wish, the newest first; see `query`."""
        if not 0 < limit <= MAX_FOUND:
            raise BadRequestError(f"limit must be 1 to {MAX_FOUND}; found {limit}")
        condition, values = to_sql(wish)
        rows = self._ask(
            f"SELECT * FROM recordings r WHERE {condition} ORDER BY r.start_nanos DESC LIMIT ?",
            [*values, limit],
        )
        return [self._plain(row) for row in rows]

    def get(self, run: str) -> dict[str, Any]:
        """One recording, by its id, its run's id or an unambiguous beginning of it."""
        rows = self._ask(
            "SELECT * FROM recordings WHERE recording_id = ?1 OR run_id = ?1 LIMIT 2", (run,)
        ) or self._ask(
            "SELECT * FROM recordings WHERE substr(recording_id, 1, length(?1)) = ?1 LIMIT 2",
            (run,),
        )
        if len(rows) != 1 or not run:
            raise UnknownRunError(
                f"one recording must have the id {run!r} or begin so; "
                f"found {'several' if rows else 'none'}; see 'ringdaq runs find', and "
                f"'ringdaq runs reindex' for files that were copied here: {self.directory}"
            )
        return self._plain(rows[0])

    def spans(self, stream: str, since_nanos: int, until_nanos: int) -> list[RecordedSpan]:
        """Where rows of a stream between two times lie, the oldest first."""
        rows = self._ask(
            "SELECT r.file, r.sealed, s.path, s.first_nanos, s.last_nanos FROM streams s "
            "JOIN recordings r USING (recording_id) WHERE s.stream = ?1 AND s.first_nanos <= ?3 "
            "AND (s.last_nanos >= ?2 OR NOT r.sealed) AND (s.rows > 0 OR NOT r.sealed) "
            "ORDER BY s.first_nanos",
            (stream, since_nanos, until_nanos),
        )
        return [
            RecordedSpan(
                self.directory / row["file"],
                row["path"],
                row["first_nanos"],
                row["last_nanos"],
                bool(row["sealed"]),
            )
            for row in rows
        ]

    def _plain(self, row: sqlite3.Row) -> dict[str, Any]:
        found = {key: row[key] for key in row.keys() if key != "changed_nanos"}  # noqa: SIM118
        facts = self._ask(
            "SELECT source, key, text, number FROM facts WHERE recording_id = ? ORDER BY rowid",
            (row["recording_id"],),
        )
        return found | {
            "file": str(self.directory / row["file"]),
            "sealed": bool(row["sealed"]),
            "simulated": bool(row["simulated"]),
            "about": json.loads(row["about"]),
            "tags": [fact["text"] for fact in facts if fact["source"] == "tag"],
            "keys": {f["key"]: _value(f) for f in facts if f["source"] == "key"},
            "streams": self._streams(row["recording_id"]),
        }

    def _streams(self, recording: str) -> list[dict[str, Any]]:
        rows = self._ask(
            "SELECT * FROM streams WHERE recording_id = ? ORDER BY rowid", (recording,)
        )
        return [{column: row[column] for column in STREAM_COLUMNS} for row in rows]

    # --- changed by people

    def annotate(self, run: str, **changes: Any) -> dict[str, Any]:
        """Change the notes of a recording, see `Notes.changed`; returns it as it is then."""
        found = self.get(run)
        file = Path(found["file"])
        with self._change() as db:
            notes = read_notes(file).changed(**changes)
            write_notes(file, notes)
            _put_notes(db, found["recording_id"], notes)
        return self.get(found["recording_id"])

    def delete(self, run: str, *, confirm: str) -> dict[str, Any]:
        """Delete a recording's file, notes and journal for good; `confirm` repeats its id."""
        found = self.get(run)
        if confirm != found["recording_id"]:
            raise BadRequestError(
                f"to delete {found['recording_id']!r} for good, confirm it by this very id; "
                f"found {confirm!r}"
            )
        if found["state"] == "recording":
            raise BusyError(
                f"the recording {found['recording_id']!r} goes on; stop its run, or recover it: "
                f"{found['file']}"
            )
        file = Path(found["file"])
        journal = self.directory / "journals" / checked_id(found["recording_id"], file)
        with self._change() as db:
            file.unlink(missing_ok=True)
            notes_path(file).unlink(missing_ok=True)
            shutil.rmtree(journal, ignore_errors=True)
            db.execute("DELETE FROM recordings WHERE recording_id = ?", (found["recording_id"],))
        return found

    def close(self) -> None:
        """Let go of the database."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._db.close()


def _put_entry(db: sqlite3.Connection, name: str, entry: Entry) -> None:
    values = {**entry.values, "file": name}
    recording = values["recording_id"]
    marks = ", ".join("?" * len(COLUMNS))
    db.execute("DELETE FROM recordings WHERE recording_id = ? OR file = ?", (recording, name))
    db.execute(
        f"INSERT INTO recordings ({', '.join(COLUMNS)}) VALUES ({marks})",
        [values[column] for column in COLUMNS],
    )
    db.executemany(
        f"INSERT INTO streams VALUES (?, {', '.join('?' * len(STREAM_COLUMNS))})",
        [(recording, *(s[c] for c in STREAM_COLUMNS)) for s in entry.streams],
    )
    _add_facts(db, recording, entry.facts)


def _put_notes(db: sqlite3.Connection, recording: str, notes: Notes) -> None:
    db.execute("UPDATE recordings SET note = ? WHERE recording_id = ?", (notes.note, recording))
    db.execute(
        "DELETE FROM facts WHERE recording_id = ? AND source IN ('tag', 'key')", (recording,)
    )
    _add_facts(db, recording, note_facts(notes))


def _add_facts(db: sqlite3.Connection, recording: str, facts: Iterable[tuple[Any, ...]]) -> None:
    db.executemany(
        "INSERT INTO facts VALUES (?, ?, ?, ?, ?)", [(recording, *fact) for fact in facts]
    )


def _value(fact: sqlite3.Row) -> Any:
    return fact["text"] if fact["number"] is None else json.loads(fact["text"])
