"""All runs of a daemon: those that go on, and those that are history."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ringdaq.config import Rig
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.control_server import ARRIVED
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.prepare import Prepared, Preparer, limits_of
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.runs import Run
from ringdaq.daemon.store import Store
from ringdaq.daemon.twin import DryRuns
from ringdaq.errors import BadRequestError, BusyError, InstrumentBusyError
from ringdaq.model import RunState
from ringdaq.scripts import asked_for, decode_source, language_of
from ringdaq.scripts.sandbox import require_walls
from ringdaq.scripts.spawn import Spawned

log = logging.getLogger(__name__)

MAX_ACTIVE_RUNS = 16
# So many runs may wait to be stored before no more are started.
MAX_UNSAVED = 100


class RunManager:
    """Uploads scripts, starts runs and follows each to its end."""

    def __init__(
        self,
        rig: Rig,
        hosts: Mapping[str, InstrumentHost],
        publisher: Publisher,
        desk: RecordingDesk,
        store: Store,
        audit: Audit,
        spawner: Callable[[], Spawned],
    ) -> None:
        self._spawner = spawner
        self._rig, self._hosts, self._publisher = rig, hosts, publisher
        self._desk, self._store, self._audit = desk, store, audit
        self._preparer = Preparer(rig, hosts)
        self._dry_runs = DryRuns(rig, hosts, publisher)
        self._lock = threading.Lock()
        self._active: dict[str, Run] = {}
        self._sealing: dict[str, Run] = {}
        self._saving = threading.Lock()
        self._unsaved: dict[str, Run] = {}
        self._closing = False
        self._panicked = -math.inf

    # --- scripts

    def upload(
        self, content: str | bytes, name: str, metadata: Mapping[str, str], user: str
    ) -> dict[str, Any]:
        """Check a script against this rig and store it; raises `ScriptRejectedError`."""
        if not name or len(name) > 200 or not name.isprintable():
            raise BadRequestError(
                f"a script's name must be 1 to 200 printable characters; found {name[:80]!r}"
            )
        text = decode_source(content.encode() if isinstance(content, str) else content)
        language = language_of(name, metadata.get("language"))
        self._preparer.check(text, language)
        digest = hashlib.sha256(text.encode()).hexdigest()
        script_id = hashlib.sha256(f"{name}\0{digest}".encode()).hexdigest()[:16]
        parameters = asked_for(text, language)
        self._store.save_script(
            script_id=script_id,
            name=name,
            digest=digest,
            content=text,
            metadata=dict(metadata),
            parameters=parameters,
        )
        self._audit.note(user, "script.upload", script_id, new=name)
        return {"script_id": script_id, "name": name, "hash": digest, "parameters": parameters}

    # --- runs

    def start(
        self,
        script: str,
        parameters: Mapping[str, Any],
        instruments: list[str] | None,
        user: str,
        *,
        unless: Callable[[], str] = str,
    ) -> str:
        """Start a run of a stored script; returns its id once its process runs.

        Raises `BusyError` where `unless` has a reason not to, just before anything happens, and
        where a panic came after the run was asked for.
        """
        arrived = ARRIVED.get(time.monotonic())
        require_walls(self._rig.scripts.policy)
        self._save()
        stored = self._store.script(script)
        ready = self._preparer.prepare(stored, parameters, instruments)
        run = self._admit(ready, user, unless, arrived)
        try:
            self._audit.note(user, "run.start", run.run_id, new=stored["name"])
            run.start()
        except BaseException:
            self._drop(run)
            raise
        # First followed, then stored: a script that goes on is never left alone.
        self._follow_apart(run)
        self._save(run)
        return run.run_id

    def check(
        self, script: str, parameters: Mapping[str, Any], instruments: list[str] | None
    ) -> dict[str, Any]:
        """The stored script, if a run of it could be started; raises what `start` would."""
        stored = self._store.script(script)
        self._preparer.prepare(stored, parameters, instruments)
        return stored

    def dry_run(
        self, script: str, parameters: Mapping[str, Any], instruments: list[str] | None
    ) -> dict[str, Any]:
        """What a run of the stored script would take, from the rig's twin; nothing real moves."""
        return self._dry_runs.run(self._store.script(script), parameters, instruments)

    def _admit(self, ready: Prepared, user: str, unless: Callable[[], str], arrived: float) -> Run:
        with self._lock:
            self._check_room(unless, arrived)
            _check_owners(ready.hosts)
            run = self._make(ready, user)
            self._active[run.run_id] = run
        return run

    def _make(self, ready: Prepared, user: str) -> Run:
        return Run(
            script=ready.script,
            parameters=ready.parameters,
            hosts=ready.hosts,
            rig_hosts=self._hosts.values(),
            user=user,
            limits=limits_of(self._rig.scripts),
            modules=tuple(self._rig.scripts.modules),
            publisher=self._publisher,
            desk=self._desk,
            audit=self._audit,
            spawner=self._spawner,
            entry=ready.entry,
            language=ready.language,
        )

    def _check_room(self, unless: Callable[[], str], arrived: float) -> None:
        if arrived <= self._panicked:
            raise BusyError(
                "a panic came after the run was asked for, and it is not started: start it "
                "again if it is still wanted"
            )
        if reason := unless():
            raise BusyError(f"the run is not started: {reason}")
        if self._closing:
            raise BusyError("the daemon is stopping and starts no more runs")
        if len(self._active) >= MAX_ACTIVE_RUNS:
            raise BusyError(f"{MAX_ACTIVE_RUNS} runs go on already; wait for one to end")
        if len(self._unsaved) >= MAX_UNSAVED:
            raise BusyError(
                f"{MAX_UNSAVED} runs should be stored and cannot be; make room on the disk of "
                "the daemon's state, and see its log"
            )

    def _follow_apart(self, run: Run) -> None:
        follower = threading.Thread(target=self._follow, args=(run,), name=run.run_id, daemon=True)
        try:
            follower.start()
        except RuntimeError:  # the system has no thread for it
            run.disarm()
            self._follow(run)
            raise

    def _follow(self, run: Run) -> None:
        try:
            run.wait_for_end()
        except Exception:
            log.exception("run %s could not be brought to its end", run.run_id)
        self._retire(run)

    def _drop(self, run: Run) -> None:
        """Let go of a run that did not start; it leaves no trace if it had no instrument yet."""
        if run.ended.is_set() or any(h.owner == run.owner for h in run.hosts.values()):
            self._retire(run)
            return
        with self._lock:
            self._active.pop(run.run_id)

    def _retire(self, run: Run) -> None:
        # First stored, then forgotten: whoever asks in between must not see an older state.
        self._save(run)
        with self._lock:
            self._active.pop(run.run_id, None)
            if self._desk.enabled:
                self._sealing[run.run_id] = run
        self.note_recording(run.run_id)

    def note_recording(self, run_id: str) -> None:
        """The recorder has reported: keep what it said once the file is finished."""
        report = self._desk.status(run_id)
        if run_id in self._active or report is None or report["state"] in ("recording", "waiting"):
            return
        with self._lock:
            run = self._sealing.get(run_id)
        if run is None:  # a run of an earlier daemon, whose file is finished now
            self._store.save_run(self._store.run(run_id) | {"recording": report})
            return
        self._save(run)
        with self._lock:
            self._sealing.pop(run_id, None)

    def _save(self, *runs: Run) -> None:
        """Store how runs are; what cannot be stored now is kept at hand and stored with the next.

        One after another, so that no older status comes last.
        """
        with self._saving:
            self._unsaved |= {run.run_id: run for run in runs}
            for run in list(self._unsaved.values()):
                try:
                    self._store.save_run(run.status())
                except Exception:
                    log.exception("run %s cannot be stored and is tried again", run.run_id)
                else:
                    del self._unsaved[run.run_id]

    # --- from outside

    def find(self, run_id: str) -> Run | None:
        """The run, while it goes on, its file is being finished, or it could not be stored."""
        with self._lock:
            live = self._active.get(run_id) or self._sealing.get(run_id)
        return live or self._unsaved.get(run_id)

    def status(self, run_id: str) -> dict[str, Any]:
        """A run's status, live or stored."""
        run = self.find(run_id)
        return run.status() if run is not None else self._store.run(run_id)

    def wait(self, run_id: str, timeout: float, *, sealed: bool) -> dict[str, Any]:
        """A run's status once it has ended (and its file is sealed), or after `timeout` seconds."""
        run = self.find(run_id)
        if run is not None and run.ended.wait(timeout) and sealed:
            self._desk.wait_sealed(run_id, timeout)
        return self.status(run_id)

    def stop(self, run_id: str, *, force: bool, user: str) -> dict[str, Any]:
        """Stop a run; returns its status at once, without waiting for the end."""
        run = self.find(run_id)
        if run is not None:
            run.stop(force=force, user=user)
        return self.status(run_id)

    def pause(self, run_id: str, *, user: str) -> dict[str, Any]:
        """Hold a run at its next verb or point; returns its status at once."""
        run = self.find(run_id)
        if run is not None:
            run.pause(user=user)
        return self.status(run_id)

    def resume(self, run_id: str, *, user: str) -> dict[str, Any]:
        """Let a paused run go on; returns its status at once."""
        run = self.find(run_id)
        if run is not None:
            run.resume(user=user)
        return self.status(run_id)

    def listed(self, script_id: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
        """Runs, newest first, those that go on with their live status."""
        if state is not None and state not in set(RunState):
            raise BadRequestError(
                f"a run's state must be one of {', '.join(RunState)}; found {state!r}"
            )
        stored = self._store.runs(script_id=script_id, limit=100_000 if state else limit)
        live = [self.status(s["run_id"]) if self.find(s["run_id"]) else s for s in stored]
        return [s for s in live if state is None or s["state"] == state][:limit]

    def note_panic(self) -> None:
        """Start nothing that was asked for before now; waits for nothing.

        What was let in already is among the `active` ones from here on.
        """
        self._panicked = time.monotonic()

    def active(self) -> list[Run]:
        """The runs that go on."""
        with self._lock:
            return list(self._active.values())

    def close(self, timeout: float) -> None:
        """Start no more, stop all runs, the deaf ones by force, and wait for their ends."""
        with self._lock:
            self._closing = True
        for force in (False, True):
            for run in self.active():
                run.stop(force=force, user="daemon")
            for run in self.active():
                run.ended.wait(timeout)
        self._save()


def _check_owners(hosts: Mapping[str, InstrumentHost]) -> None:
    """Refuse a run of instruments that somebody holds, before anything is made for it."""
    for name, host in hosts.items():
        if owner := host.owner:
            raise InstrumentBusyError(
                f"{name} can have one owner; {owner} holds it: wait until it ends or stop it",
                instrument=name,
            )
