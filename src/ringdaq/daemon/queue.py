"""The queue of runs: kept in the database, served one after another."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.control_server import ARRIVED
from ringdaq.daemon.run_manager import RunManager
from ringdaq.daemon.store import Store
from ringdaq.daemon.twin import check_report
from ringdaq.errors import BadRequestError, BusyError, InstrumentBusyError, RingdaqError
from ringdaq.model import RunState

log = logging.getLogger(__name__)

MAX_ENTRIES = 10_000
MAX_REPEATS = 1_000_000
# How often a run that an instrument's owner keeps from starting is tried again.
RETRY_SECS = 0.2
# How often a queue that could not be written down is tried again.
KEEP_SECS = 1.0
_CLOSE_SECS = 15.0
ON_FAILURE = ("stop", "continue")
Entry = dict[str, Any]


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequestError(
            f"{what} must be a whole number from {least} to {most}; found {value!r:.80}"
        )
    return value


class RunQueue:
    """Starts the first entry whenever the one before has ended, unless it is paused.

    After a daemon that did not end in good order it is paused: nothing moves by itself.
    """

    def __init__(self, runs: RunManager, store: Store, audit: Audit) -> None:
        self._runs, self._store, self._audit = runs, store, audit
        self._changed = threading.Condition()
        self._entries: list[Entry] = store.queue_entries()
        self._paused = store.fact("queue_paused") or ""
        self._closing = False
        self._held = -math.inf
        self._waits_for = self._unkept = ""
        for entry in self._entries:
            entry["state"] = "waiting"
        if store.fact("ended_well") == "no":
            with self._changed:
                self._pause("the daemon before this one did not end in good order")
        store.set_fact("ended_well", "no")
        self._thread = threading.Thread(target=self._serve, name="queue", daemon=True)

    # --- what clients ask for

    def add(
        self,
        script: str,
        parameters: dict[str, Any],
        instruments: list[str] | None,
        *,
        repeat: Any,
        on_failure: str,
        dry_run: bool,
        user: str,
    ) -> Entry:
        """Put a run at the end, `repeat` times over.

        Refused as a start of it would be, and where its dry run, if there is one, does not
        complete.
        """
        if on_failure not in ON_FAILURE:
            raise BadRequestError(
                f"on_failure must be one of {', '.join(ON_FAILURE)}; found {on_failure!r:.80}"
            )
        times = whole(repeat, "repeat", 1, MAX_REPEATS)
        stored = self._runs.check(script, parameters, instruments)
        expected = self._expected(stored["script_id"], parameters, instruments, dry_run)
        entry: Entry = {
            "entry_id": secrets.token_hex(6),
            "script_id": stored["script_id"],
            "script_name": stored["name"],
            "parameters": parameters,
            "instruments": instruments,
            "repeat": times,
            "on_failure": on_failure,
            "user": user,
            "added_nanos": now_nanos(),
            "state": "waiting",
            "run_id": None,
            "expected": expected,
        }
        with self._change():
            if len(self._entries) >= MAX_ENTRIES:
                raise BusyError(f"the queue holds {MAX_ENTRIES} entries; remove some first")
            self._entries.append(entry)
        self._audit.note(user, "queue.add", entry["entry_id"], new=stored["name"])
        return dict(entry)

    def listed(self) -> dict[str, Any]:
        """The queue's state, why it is paused or what it waits for, and its entries in order."""
        with self._changed:
            return {
                "state": "paused" if self._paused else "running",
                "reason": self._paused or self._unkept or self._waits_for,
                "entries": [dict(e) for e in self._entries],
            }

    def move(self, entry_id: str, to: Any, user: str) -> dict[str, Any]:
        """Put an entry at another place, 0 being the first that waits."""
        place = whole(to, "the place", 0, MAX_ENTRIES)
        with self._change():
            entry = self._waiting(entry_id)
            self._entries.remove(entry)
            first = sum(e["state"] == "running" for e in self._entries)
            self._entries.insert(first + place, entry)
        self._audit.note(user, "queue.move", entry_id, new=to)
        return self.listed()

    def remove(self, entry_id: str, user: str) -> dict[str, Any]:
        """Take an entry out; a run that goes on is stopped by itself, not here."""
        with self._change():
            self._entries.remove(self._waiting(entry_id))
        self._audit.note(user, "queue.remove", entry_id)
        return self.listed()

    def _expected(
        self,
        script: str,
        parameters: dict[str, Any],
        instruments: list[str] | None,
        dry_run: bool,
    ) -> dict[str, Any] | None:
        """What one run will take, by its dry run; raises where that does not complete."""
        if not dry_run:
            return None
        report = check_report(self._runs.dry_run(script, parameters, instruments))
        return {k: report[k] for k in ("duration_secs", "points", "bytes", "violations")}

    def edit(
        self, entry_id: str, changes: dict[str, Any], user: str, *, dry_run: bool
    ) -> dict[str, Any]:
        """Change an entry's `parameters`, `repeat` or `on_failure`; checked as `add` does."""
        unknown = set(changes) - {"parameters", "repeat", "on_failure"}
        if unknown or changes.get("on_failure", "stop") not in ON_FAILURE:
            raise BadRequestError(f"an entry cannot be changed like this: {changes!r:.200}")
        if "repeat" in changes:
            whole(changes["repeat"], "repeat", 1, MAX_REPEATS)
        with self._changed:
            entry = self._find(entry_id)
            new = entry | changes
        what = new["script_id"], new["parameters"], new["instruments"]
        self._runs.check(*what)
        more = {"expected": self._expected(*what, dry_run)} if "parameters" in changes else {}
        with self._change():
            self._find(entry_id).update(changes | more)
        self._audit.note(user, "queue.edit", entry_id, new=changes)
        return self.listed()

    def pause(self, user: str) -> dict[str, Any]:
        """Start nothing more; the run that goes on goes on."""
        with self._changed:
            self._pause(f"paused by {user}")
        self._audit.note(user, "queue.pause", "queue")
        return self.listed()

    def hold(self, reason: str) -> None:
        """Start nothing from now on, whatever holds up others here; `keep` writes it down."""
        self._held = time.monotonic()
        self._paused = reason

    def keep(self) -> None:
        """Write the queue down as it is now, or as soon as that can be done."""
        with self._changed:
            self._keep_soon()

    def resume(self, user: str) -> dict[str, Any]:
        """Go on with the first entry; refused where a hold came after this was asked for."""
        if ARRIVED.get(math.inf) <= self._held:
            raise BusyError(f"the queue is not resumed: {self._paused}; resume it again if wanted")
        self._audit.note(user, "queue.resume", "queue")
        with self._change():
            self._paused = ""
        return self.listed()

    def _find(self, entry_id: str) -> Entry:
        for entry in self._entries:
            if entry["entry_id"] == entry_id:
                return entry
        raise BadRequestError(f"the queue has no entry {entry_id!r:.80}; see 'ringdaq queue list'")

    def _waiting(self, entry_id: str) -> Entry:
        entry = self._find(entry_id)
        if entry["state"] == "running":
            raise BusyError(f"the entry {entry_id} runs as {entry['run_id']}; stop that run first")
        return entry

    def _pause(self, reason: str) -> None:
        self._paused = reason
        self._keep()

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock and write down what changes within; what cannot be written is undone."""
        with self._changed:
            paused, before = self._paused, [(entry, dict(entry)) for entry in self._entries]
            try:
                yield
                self._keep()
            except BaseException:
                self._paused = self._paused or paused
                self._entries = [entry for entry, _ in before]
                for entry, as_it_was in before:
                    entry.update(as_it_was)
                raise

    def _keep(self) -> None:
        """Write it down and wake whoever serves it; the caller holds the lock.

        Where it raises, the serving thread starts nothing until it has written it down itself.
        """
        self._unkept = "the queue cannot be written down; make room on the disk, see the log"
        try:
            self._store.save_queue(self._entries)
            self._store.set_fact("queue_paused", self._paused)
            self._unkept = ""
        finally:
            self._changed.notify_all()

    def _keep_soon(self) -> None:
        """`_keep` for what has happened and cannot be undone; the caller holds the lock."""
        try:
            self._keep()
        except Exception:
            log.exception("the queue cannot be written down and is tried again")

    # --- the serving thread

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Start no more; called before the runs are stopped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the last run's end is written down; called after the runs have ended."""
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECS)
        try:
            with self._changed:
                if self._unkept:
                    self._keep()
            self._store.set_fact("ended_well", "yes")
        except Exception:
            log.exception("the queue cannot be written down; the next daemon finds it paused")

    def _serve(self) -> None:
        while (entry := self._next()) is not None:
            if run_id := self._begin(entry):
                self._finish(entry, self._failure_of(run_id))

    def _next(self) -> Entry | None:
        with self._changed:
            while not self._closing and (self._unkept or self._paused or not self._entries):
                self._changed.wait(KEEP_SECS if self._unkept else None)
                if self._unkept:
                    self._keep_soon()
            if self._closing:
                return None
            entry = self._entries[0]
            entry["state"] = "running"
            return entry

    def _begin(self, entry: Entry) -> str:
        """Start the entry's run; returns its id, or nothing where it did not start."""
        try:
            run_id = self._start(entry)
        except (InstrumentBusyError, BusyError) as error:
            self._wait_for_owner(entry, str(error))
            return ""
        except Exception as error:
            if not isinstance(error, RingdaqError):
                log.exception("the queue could not start %s", entry["script_name"])
            self._finish(entry, f"{entry['script_name']} could not start: {error}")
            return ""
        with self._changed:
            entry["run_id"] = run_id
            self._waits_for = ""
            self._keep_soon()
        return run_id

    def _start(self, entry: Entry) -> str:
        return self._runs.start(
            entry["script_id"],
            entry["parameters"],
            entry["instruments"],
            entry["user"],
            unless=lambda: self._paused,
        )

    def _failure_of(self, run_id: str) -> str:
        """Wait for a run's end; returns what went wrong, if anything did."""
        try:
            run = self._runs.find(run_id)
            if run is not None:
                run.ended.wait()
            state = self._runs.status(run_id)["state"]
        except Exception as error:
            log.exception("the queue cannot tell how run %s ended", run_id)
            return f"run {run_id} has ended, and how is not known: {error}"
        return "" if state == RunState.COMPLETED else f"run {run_id} {state}"

    def _wait_for_owner(self, entry: Entry, why: str) -> None:
        with self._changed:
            entry["state"] = "waiting"
            self._waits_for = why
            self._changed.wait_for(lambda: self._closing, RETRY_SECS)

    def _finish(self, entry: Entry, failure: str) -> None:
        """Take the entry, or one of its repeats, out; or keep it and pause, as it says."""
        with self._changed:
            entry["state"] = "waiting"
            stops = bool(failure) and (entry["on_failure"] == "stop" or self._closing)
            if not stops:
                entry["repeat"] -= 1
                if entry["repeat"] == 0:
                    self._entries.remove(entry)
            if stops:
                self._paused = self._paused or failure
            self._keep_soon()
