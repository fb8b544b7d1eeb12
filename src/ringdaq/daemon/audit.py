"""Who commanded what, when, from which value to which: written down for good."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgpack

from ringdaq.clock import now_nanos
from ringdaq.daemon.store import Store
from ringdaq.daemon.tail import Tail
from ringdaq.errors import BusyError

log = logging.getLogger(__name__)

# Entries go to the disk together, as often as rows do; until then they lie in a file's memory, see
# `Tail`.
COLLECT_SECS = 0.05
MAX_VALUE_BYTES = 1 << 15
_RETRY_SECS = 1.0
_ENCODE = json.JSONEncoder(default=repr).encode
Entry = tuple[int, int, str, str, str, Any, Any, str]
"""Number, time, who, action, target, old, new, outcome."""
MAX_REFUSED = 10_000
FLUSH_SECS = 10.0


class Audit:
    """Takes audit entries from any thread and commits them in batches.

    An entry that was noted outlives the process, from `note`'s return on. Where the disk is so
    far behind that the tail is full, commands wait for it: none is carried out unrecorded.
    """

    def __init__(self, store: Store, tail: Path) -> None:
        self._store = store
        self._tail = Tail(tail)
        self._recover()
        self._pack = msgpack.Packer(default=repr, unicode_errors="surrogatepass").pack
        self._changed = threading.Condition(threading.Lock())
        self._waiting: list[Entry] = []
        self._next = self._written = store.last_audit_number() + 1
        self._due, self._hurry = threading.Event(), threading.Event()
        self._closing = self._ended = False
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    def _recover(self) -> None:
        """Write down what an earlier daemon noted and could not."""
        left = self._tail.left()
        rows = [row for entry in left if (row := _recovered(entry)) is not None]
        if rows:
            self._store.add_audit(rows)
        if lost := len(left) - len(rows):
            log.error("%d audit entries of an earlier daemon are damaged and lost", lost)
        self._tail.clear()

    def note(
        self,
        who: str,
        action: str,
        target: str,
        *,
        old: Any = None,
        new: Any = None,
        outcome: str = "ok",
    ) -> None:
        """Add one entry; waits when the disk is that far behind."""
        with self._changed:
            entry: Entry = (self._next, now_nanos(), who, action, target, old, new, outcome)
            body = self._pack(entry)
            if len(body) > MAX_VALUE_BYTES:
                cut = (f"{repr(v)[:2000]}… ({len(body)} bytes)" for v in (old, new))
                entry = (*entry[:5], next(cut), next(cut), outcome[:2000])
                body = self._pack(entry)
            while not self._tail.add(body):
                if self._ended:
                    raise BusyError("the daemon is stopping and carries out no more commands")
                self._changed.wait()
            self._next += 1
            self._waiting.append(entry)
        if not self._due.is_set():
            self._due.set()

    def flush(self) -> bool:
        """Wait until every entry noted so far is in the database; whether it is, after a while."""
        with self._changed:
            until = self._next
            self._hurry.set()
            self._changed.wait_for(lambda: self._written >= until or self._ended, FLUSH_SECS)
            self._hurry.clear()
            return self._written >= until

    def refused(self, since_nanos: int) -> list[dict[str, Any]]:
        """What was refused or failed since then, old to new: limits, interlocks, faults.

        Where the database cannot be written for long, what it does not have yet is missing.
        """
        if not self.flush():
            log.error("what was refused in the last seconds is in the audit log's tail alone")
        return self._store.refused(since_nanos, MAX_REFUSED)[::-1]

    def close(self) -> None:
        """Write what is left, then stop; what is noted later waits for the next daemon."""
        self._closing = True
        self._hurry.set()
        self._due.set()
        self._thread.join()

    def _write(self) -> None:
        closing = False
        while not closing:
            self._due.wait()
            self._hurry.wait(COLLECT_SECS)
            self._due.clear()
            closing = self._closing
            self._commit()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _commit(self) -> None:
        """Move what waits into the database; what fails until the end stays in the tail."""
        with self._changed:
            batch, self._waiting = self._waiting, []
            self._tail.swap()
            self._changed.notify_all()
        while batch and not self._stored(batch):
            if self._closing:
                return
            self._hurry.wait(_RETRY_SECS)
        self._tail.clear_other()
        with self._changed:
            self._written += len(batch)
            self._changed.notify_all()

    def _stored(self, batch: list[Entry]) -> bool:
        try:
            self._store.add_audit([_row(entry) for entry in batch])
        except sqlite3.Error:
            log.exception("%d audit entries cannot be written and are tried again", len(batch))
            return False
        return True


def _row(entry: Any) -> tuple[Any, ...]:
    number, time_nanos, who, action, target, old, new, outcome = entry
    return number, time_nanos, who, action, target, _json(old), _json(new), outcome


def _recovered(entry: bytes) -> tuple[Any, ...] | None:
    """The row of an entry in the tail; `None` where a power cut has left no whole one."""
    try:
        return _row(msgpack.unpackb(entry, unicode_errors="surrogatepass"))
    except (ValueError, TypeError, msgpack.exceptions.UnpackException):
        return None


def _json(value: Any) -> str:
    if type(value) is float and math.isfinite(value):
        return repr(value)  # as the encoder does, which takes five times as long to begin
    return "null" if value is None else _ENCODE(value)
