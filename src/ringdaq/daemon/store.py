"""What must survive a restart: scripts, runs, the audit log (SQLite, WAL)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.errors import UnknownRunError, UnknownScriptError, VersionMismatchError
from ringdaq.model import RunState

SCHEMA_VERSION = 4
_SCHEMA = """
CREATE TABLE scripts (
  script_id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, content TEXT NOT NULL,
  uploaded_nanos INTEGER NOT NULL, metadata TEXT NOT NULL
) STRICT;
CREATE INDEX scripts_by_name ON scripts (name, uploaded_nanos);
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, script_id TEXT NOT NULL, script_name TEXT NOT NULL, state TEXT NOT NULL,
  created_nanos INTEGER NOT NULL, status TEXT NOT NULL
) STRICT;
CREATE INDEX runs_by_time ON runs (created_nanos);
CREATE TABLE audit (
  number INTEGER PRIMARY KEY, time_nanos INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
  target TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE TABLE commands (
  key TEXT PRIMARY KEY, time_nanos INTEGER NOT NULL, reply TEXT
) STRICT;
"""
_SCHEMA_2 = """
CREATE TABLE queue (place INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
_SCHEMA_3 = "CREATE INDEX audit_refused ON audit (time_nanos) WHERE outcome <> 'ok';"
_SCHEMA_4 = "ALTER TABLE scripts ADD COLUMN parameters TEXT NOT NULL DEFAULT '';"
_STEPS = (_SCHEMA, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4)
"""What leads from each version to the next."""
_AUDIT_COLUMNS = ("number", "time_nanos", "who", "action", "target", "old", "new", "outcome")
_AUDIT_ROW = f"({', '.join('?' * len(_AUDIT_COLUMNS))})"
_ADD_AUDIT = f"INSERT OR IGNORE INTO audit ({', '.join(_AUDIT_COLUMNS)}) VALUES "
# Many rows in a statement: the interpreter is free while it is carried out, and not between them.
# Older SQLite takes 999 values.
_ROWS_AT_ONCE = 100


class Store:
    """The daemon's database; any thread may call."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            self._migrate(path)
        except BaseException:
            self._db.close()
            raise

    def _migrate(self, path: Path) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise VersionMismatchError(
                f"this ringdaq reads databases up to version {SCHEMA_VERSION}; found {version}; "
                f"use the newer ringdaq that wrote it, or another --state: {path}"
            )
        if version < SCHEMA_VERSION:
            steps = " ".join(_STEPS[version:])
            self._db.executescript(
                f"BEGIN; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def _execute(self, sql: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()

    # --- scripts

    def save_script(
        self,
        *,
        script_id: str,
        name: str,
        digest: str,
        content: str,
        metadata: dict[str, str],
        parameters: str,
    ) -> None:
        """Store a script; the same id again only renews its time and metadata."""
        self._execute(
            "INSERT INTO scripts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (script_id) DO UPDATE "
            "SET uploaded_nanos = excluded.uploaded_nanos, metadata = excluded.metadata, "
            "parameters = excluded.parameters",
            (script_id, name, digest, content, now_nanos(), json.dumps(metadata), parameters),
        )

    def script(self, id_or_name: str) -> dict[str, Any]:
        """The script of that id, else the newest of that name."""
        rows = self._execute(
            "SELECT * FROM scripts WHERE script_id = ?1 OR name = ?1 "
            "ORDER BY script_id = ?1 DESC, uploaded_nanos DESC LIMIT 1",
            (id_or_name,),
        )
        if not rows:
            raise UnknownScriptError(
                f"a script must be uploaded before it can run; found none with the id or name "
                f"{id_or_name!r}; see 'ringdaq client scripts'"
            )
        return _script(rows[0])

    def scripts(self) -> list[dict[str, Any]]:
        """All scripts without their text, newest first."""
        rows = self._execute("SELECT * FROM scripts ORDER BY uploaded_nanos DESC")
        return [{k: v for k, v in _script(row).items() if k != "content"} for row in rows]

    # --- runs

    def save_run(self, status: dict[str, Any]) -> None:
        """Store a run's status as it is now."""
        self._execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE "
            "SET state = excluded.state, status = excluded.status",
            (
                status["run_id"],
                status["script_id"],
                status["script_name"],
                status["state"],
                status["created_nanos"],
                json.dumps(status),
            ),
        )

    def run(self, run_id: str) -> dict[str, Any]:
        """The last stored status of a run."""
        rows = self._execute("SELECT status FROM runs WHERE run_id = ?", (run_id,))
        if not rows:
            raise UnknownRunError(f"no run has the id {run_id!r}; see 'ringdaq client runs'")
        status: dict[str, Any] = json.loads(rows[0]["status"])
        return status

    def runs(
        self, *, script_id: str | None = None, state: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Runs, newest first, of one script or in one state where asked."""
        rows = self._execute(
            "SELECT status FROM runs WHERE (?1 IS NULL OR script_id = ?1) "
            "AND (?2 IS NULL OR state = ?2) ORDER BY created_nanos DESC LIMIT ?3",
            (script_id, state, limit),
        )
        return [json.loads(row["status"]) for row in rows]

    def interrupt_open_runs(self) -> list[str]:
        """Close the runs that an earlier daemon left open; returns their ids."""
        open_states = [s.value for s in RunState if not s.ended]
        left = [r for state in open_states for r in self.runs(state=state, limit=1_000_000)]
        for status in left:
            status |= {"state": RunState.INTERRUPTED.value, "ended_nanos": now_nanos()}
            self.save_run(status)
        return [status["run_id"] for status in left]

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing, so that what fails leaves the next one free."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has often ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- the queue, and what the daemon must know of itself

    def save_queue(self, entries: list[dict[str, Any]]) -> None:
        """Store the queue as it is now."""
        rows = [(place, json.dumps(entry)) for place, entry in enumerate(entries)]
        with self._change() as db:
            db.execute("DELETE FROM queue")
            db.executemany("INSERT INTO queue VALUES (?, ?)", rows)

    def queue_entries(self) -> list[dict[str, Any]]:
        """The queue as it was stored last."""
        rows = self._execute("SELECT entry FROM queue ORDER BY place")
        return [json.loads(row["entry"]) for row in rows]

    def fact(self, name: str) -> str | None:
        """What was noted under a name."""
        rows = self._execute("SELECT value FROM facts WHERE name = ?", (name,))
        return rows[0]["value"] if rows else None

    def set_fact(self, name: str, value: str) -> None:
        """Note something under a name; costs nothing where it stands there already."""
        if self.fact(name) != value:
            self._execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # --- audit and retried commands

    def add_audit(self, entries: list[tuple[Any, ...]]) -> None:
        """Add audit entries as `_AUDIT_COLUMNS` has them, but for those that are there already."""
        with self._change() as db:
            for first in range(0, len(entries), _ROWS_AT_ONCE):
                rows = entries[first : first + _ROWS_AT_ONCE]
                places, values = ", ".join([_AUDIT_ROW] * len(rows)), chain.from_iterable(rows)
                db.execute(_ADD_AUDIT + places, tuple(values))

    def last_audit_number(self) -> int:
        """The highest number of an audit entry; 0 where there is none."""
        return int(self._execute("SELECT coalesce(max(number), 0) FROM audit")[0][0])

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """The newest audit entries, newest first."""
        rows = self._execute("SELECT * FROM audit ORDER BY number DESC LIMIT ?", (limit,))
        return [dict(row) for row in rows]

    def refused(self, since_nanos: int, limit: int) -> list[dict[str, Any]]:
        """The newest audit entries since then of what was refused or failed, newest first."""
        rows = self._execute(
            "SELECT * FROM audit WHERE outcome <> 'ok' AND time_nanos >= ? "
            "ORDER BY time_nanos DESC, number DESC LIMIT ?",
            (since_nanos, limit),
        )
        return [dict(row) for row in rows]

    def begin_command(self, key: str) -> tuple[bool, Any]:
        """Note a keyed command before it is carried out.

        Returns (True, None) the first time, else (False, the first one's reply or `None` if it
        never replied).
        """
        with self._lock:
            fresh = self._db.execute(
                "INSERT OR IGNORE INTO commands VALUES (?, ?, NULL)", (key, now_nanos())
            ).rowcount
            if fresh:
                return True, None
            row = self._db.execute("SELECT reply FROM commands WHERE key = ?", (key,)).fetchone()
        return False, None if row["reply"] is None else json.loads(row["reply"])

    def end_command(self, key: str, reply: Any) -> None:
        """Note what a keyed command answered, before the answer is sent."""
        self._execute("UPDATE commands SET reply = ? WHERE key = ?", (json.dumps(reply), key))

    def forget_command(self, key: str) -> None:
        """A keyed command was taken back before it began: sent again, it is a new one."""
        self._execute("DELETE FROM commands WHERE key = ?", (key,))

    def close(self) -> None:
        """Write everything out and let the file go."""
        with self._lock:
            self._db.close()


def _script(row: sqlite3.Row) -> dict[str, Any]:
    return dict(row) | {"metadata": json.loads(row["metadata"])}
