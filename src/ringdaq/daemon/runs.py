"""Runs: one execution of a script each, from its start to instruments at rest."""

from __future__ import annotations

import getpass
import logging
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.diary import WRITE_SECS, Diary
from ringdaq.daemon.emitted import EmittedStream
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.plans import Execution, shape
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.safety import make_all_safe, stop_all
from ringdaq.daemon.workers import InlineCalls
from ringdaq.errors import InstrumentError, ScriptStoppedError, StreamError, to_wire
from ringdaq.model import RunState
from ringdaq.scripts import Binding, Language, Limits, Outcome, PlanControl, ScriptProcess
from ringdaq.scripts.errands import ASKED_AT
from ringdaq.scripts.spawn import Spawned

log = logging.getLogger(__name__)

# After its instruments are at rest, the run's last verb has this long to return.
IDLE_SECS = 5.0


def new_run_id() -> str:
    """An id that sorts by time and does not repeat."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)


def file_title(name: str) -> str:
    """A script's name as a part of a file name."""
    return (
        re.sub(r"[^A-Za-z0-9_.-]+", "_", name.removesuffix(".py").removesuffix(".rhai")).strip(
            "._-"
        )[:60]
        or "run"
    )


class Run:
    """One execution of a script, and what it is allowed to touch."""

    def __init__(
        self,
        *,
        script: Mapping[str, Any],
        parameters: Mapping[str, Any],
        hosts: Mapping[str, InstrumentHost],
        rig_hosts: Collection[InstrumentHost],
        user: str,
        limits: Limits,
        modules: tuple[str, ...],
        publisher: Publisher,
        desk: RecordingDesk,
        audit: Audit,
        spawner: Callable[[], Spawned],
        entry: Binding | None = None,
        language: Language = "python",
    ) -> None:
        self.run_id = new_run_id()
        self.owner = f"run {self.run_id}"
        """The name under which the run holds instruments and stands in the audit log."""
        self.hosts = dict(hosts)
        self._rig_hosts = rig_hosts
        self._script, self._parameters, self._user = dict(script), dict(parameters), user
        self._language = language
        self._publisher, self._desk, self._audit = publisher, desk, audit
        self._state = RunState.PENDING
        self._error: dict[str, object] | None = None
        self._created, self._started, self._ended = now_nanos(), 0, 0
        self._stop = threading.Event()
        self._disarmed = False
        self._line = 0
        self._last_values: dict[str, Any] | None = None
        self.ended = threading.Event()
        """Set when the run is over and its status will not change, the file's part aside."""
        self._emitted = EmittedStream(self.run_id, publisher, self._record_ring)
        self._diary = Diary(self.run_id, publisher, self._record_ring)
        self._process = ScriptProcess(
            script["content"],
            name=script["name"],
            parameters=self._parameters,
            instruments={name: frozenset(h.entry.verbs) for name, h in hosts.items()},
            limits=limits,
            modules=modules,
            host=self,
            entry=None if entry is None else entry.to_dict(),
            language=language,
            calls=InlineCalls(),
            spawner=spawner,
        )

    # --- what the script reaches (called on the script's thread)

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Carry out a verb of a granted instrument."""
        begun, error = now_nanos(), ""
        arrived = self._armed_since()
        try:
            return self.hosts[instrument].call(verb, args, kwargs, who=self.owner, arrived=arrived)
        except Exception as caught:
            error = type(caught).__name__
            if isinstance(caught, InstrumentError) and self._stop.is_set():
                # The motion was ended on purpose, not by a fault.
                raise ScriptStoppedError(f"the run was stopped: {caught}") from caught
            raise
        finally:
            self._diary.did(f"{instrument}.{verb}", self._process.current_line, begun, error)

    def plan(
        self, name: str, args: list[Any], kwargs: dict[str, Any], control: PlanControl
    ) -> object:
        """Carry a scan out in one go; raises before anything moves if it cannot be."""
        execution = Execution(
            shape(name, args, kwargs, self.hosts),
            begun=self._armed_since(),
            control=control,
            publisher=self._publisher,
            emitted=self._emitted,
        )
        said = f"{args!r:.200} {kwargs!r:.200}"
        self._audit.note(self.owner, "plan", name, new=said)
        try:
            with self._diary.doing(name, self._process.current_line):
                return execution.run()
        except InstrumentError as error:
            if self._stop.is_set():
                raise ScriptStoppedError(f"the run was stopped: {error}") from error
            raise

    def _armed_since(self) -> float:
        """When the script asked, in monotonic seconds; raises where all was disarmed.

        In this order: what was asked at that time is refused if the instruments were made safe
        since, see `InstrumentHost.call`. Raises `ScriptStoppedError`.
        """
        asked = ASKED_AT.get(None) or time.monotonic()
        if self._disarmed:
            raise ScriptStoppedError("the run was stopped")
        return asked

    def emit(self, values: dict[str, Any]) -> None:
        """Write a row into the run's own stream."""
        self._emitted.emit(values)

    def output(self, text: str, level: str, line: int) -> None:
        """Write it into the run's log; the process keeps the tail of the output itself."""
        self._diary.said(text, level, line)

    def sleep(self, seconds: float) -> None:
        """Wait, or raise `ScriptStoppedError` as soon as a stop is asked for."""
        if self._stop.wait(seconds):
            raise ScriptStoppedError("the run was stopped while it slept")

    # --- its life

    def start(self) -> None:
        """Take the instruments, begin to record, and let the script go."""
        self._take_instruments()
        try:
            for host in self.hosts.values():
                host.prepare()
            self._open_recording()
            self._started, self._state = now_nanos(), RunState.RUNNING
            self._process.start()
        except BaseException as error:
            self._finish(Outcome(RunState.FAILED, to_wire(error), 0))
            raise

    def _take_instruments(self) -> None:
        taken: list[InstrumentHost] = []
        try:
            for host in self.hosts.values():
                host.take(self.owner)
                taken.append(host)
        except BaseException:
            for host in taken:
                host.release(self.owner)
            raise

    def _open_recording(self) -> None:
        if not self._desk.enabled:
            return
        self._desk.open(
            run_id=self.run_id,
            title=file_title(self._script["name"]),
            user=self._user,
            script={
                "id": self._script["script_id"],
                "name": self._script["name"],
                "text": self._script["content"],
                "hash": self._script["hash"],
                "language": self._language,
                "parameters": self._parameters,
            },
            grant=sorted(self.hosts),
            instruments=self._describe_instruments(),
            rings=[r for r in self._publisher.open_rings() if not r.spec.name.startswith("run.")],
        )

    def _describe_instruments(self) -> list[dict[str, Any]]:
        return [host.describe() | {"settings": self._settings(host)} for host in self._rig_hosts]

    def _record_ring(self, writer: Any) -> None:
        self._desk.add_stream(self.run_id, writer)

    def wait_for_end(self) -> None:
        """Wait until the script's process is gone, then bring everything to rest."""
        while (outcome := self._process.wait(WRITE_SECS)) is None:
            self._note_progress()
            self._diary.write()
        self._finish(outcome)

    def _note_progress(self) -> None:
        percent = self._process.progress_percent
        self._diary.reached(self._process.current_line, percent, self._eta_secs(percent))

    def _finish(self, outcome: Outcome) -> None:
        """The state becomes final only when the instruments are at rest."""
        rest = make_all_safe(self.hosts.values())
        for name, how in rest.items():
            if how != "safe":
                log.error("run %s: %s is not known to be safe: %s", self.run_id, name, how)
        if self._process.pid and not self._process.wait_idle(IDLE_SECS):
            log.error("run %s: an instrument has not come back from its last verb", self.run_id)
        self._line, self._error, self._ended = outcome.line, outcome.error, now_nanos()
        self._keep_end(outcome)
        for host in self.hosts.values():
            host.release(self.owner)
        self._state = outcome.state
        self._try(partial(self._note_end, outcome.state.value))
        self.ended.set()

    def _note_end(self, state: str) -> None:
        self._audit.note(self._user, "run.end", self.run_id, new=state)

    def _keep_end(self, outcome: Outcome) -> None:
        """Write down how it ended; what fails of that must not keep the instruments from others."""
        for step in (
            self._note_progress,
            self._diary.write,
            self._keep_values,
            self._put_back,
            partial(self._close_recording, outcome),
            self._emitted.close,
            self._diary.close,
        ):
            self._try(step)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            log.exception("run %s: a part of its end is not written down", self.run_id)

    def _keep_values(self) -> None:
        self._last_values = self._live_values()

    def _put_back(self) -> None:
        for host in self.hosts.values():
            try:
                host.put_back()
            except Exception as error:
                log.error("run %s: %s could not be put back: %s", self.run_id, host.name, error)

    def _close_recording(self, outcome: Outcome) -> None:
        end = {
            "state": outcome.state.value,
            "error": outcome.error,
            "ended_nanos": self._ended,
            "settings": {host.name: self._settings(host) for host in self._rig_hosts},
            "counters": self._counters(),
            "refused": self._refused(),
        }
        self._desk.close(self.run_id, end)

    def _counters(self) -> dict[str, Any]:
        found = {}
        for ring in self._publisher.open_rings():
            try:
                found[ring.spec.name] = ring.statistics()._asdict()
            except StreamError as error:
                log.error("run %s: no counters of %s: %s", self.run_id, ring.spec.name, error)
        return found

    def _refused(self) -> list[dict[str, Any]]:
        try:
            return self._audit.refused(self._started)
        except sqlite3.Error:
            log.exception("run %s: what was refused is in the audit log alone", self.run_id)
            return []

    def _settings(self, host: InstrumentHost) -> dict[str, Any]:
        try:
            return host.settings()
        except Exception as error:
            return {"error": {"value": str(error), "unit": ""}}

    # --- from outside

    def stop(self, *, force: bool, user: str) -> None:
        """Ask the script to stop at its next verb and its motions to end now, or kill it."""
        if not self.ended.is_set():
            self._end_now(force)
        # The note may have to wait for a disk, and comes last therefore.
        self._audit.note(user, "run.stop", self.run_id, new={"force": force})

    def _end_now(self, force: bool) -> None:
        self.announce_stop()
        if force:
            self._process.kill()
        else:
            self._process.request_stop()
        for name, how in stop_all(self.hosts.values()).items():
            if how != "stopped":
                log.error("run %s: %s could not be stopped: %s", self.run_id, name, how)

    def disarm(self) -> None:
        """Let the script command nothing from now on, and kill it; waits for nothing."""
        self._disarmed = True
        self.announce_stop()
        self._process.kill()

    def pause(self, *, user: str) -> None:
        """Hold the script at its next verb, or its scan at the next point."""
        self._audit.note(user, "run.pause", self.run_id)
        self._process.request_pause()

    def resume(self, *, user: str) -> None:
        """Let a paused script go on where it is."""
        self._audit.note(user, "run.resume", self.run_id)
        self._process.resume()

    @property
    def state(self) -> RunState:
        """Where the run is now."""
        held = self._state == RunState.RUNNING and self._process.paused
        return RunState.PAUSED if held else self._state

    def _eta_secs(self, percent: float | None) -> float | None:
        """How long it will still take, if it goes on as fast as it did; `None` while unknown."""
        if not percent or self.state != RunState.RUNNING:
            return None
        spent = (now_nanos() - self._started) / 1e9 - self._process.held_secs
        return max(0.0, spent * (100.0 - percent) / percent)

    def announce_stop(self) -> None:
        """From now on, a motion or a sleep that ends early was stopped on purpose."""
        if self._state == RunState.RUNNING:
            self._state = RunState.STOPPING
        self._stop.set()

    def _live_values(self) -> dict[str, Any]:
        """The newest values of its instruments and of what it emits; at its end, the last ones."""
        if self._last_values is not None:
            return self._last_values
        streams = [stream for host in self.hosts.values() for stream in host.streams]
        return self._publisher.live_values(self._emitted.name, *streams)

    def status(self) -> dict[str, Any]:
        """Everything known of the run, as plain values."""
        process = self._process
        percent = process.progress_percent
        running = not self.ended.is_set()
        return {
            "run_id": self.run_id,
            "pid": process.pid,
            "script_id": self._script["script_id"],
            "script_name": self._script["name"],
            "script_hash": self._script["hash"],
            "state": self.state.value,
            "progress_percent": percent,
            "eta_secs": self._eta_secs(percent),
            "current_line": process.current_line if running else self._line,
            "source_line": process.source_line,
            "error": self._error,
            "created_nanos": self._created,
            "started_nanos": self._started,
            "ended_nanos": self._ended,
            "parameters": self._parameters,
            "instruments": sorted(self.hosts),
            "user": self._user,
            "output": process.output,
            **self._diary.status(),
            "live_values": self._live_values(),
            "throttled_secs": process.throttled_secs,
            "recording": self._desk.status(self.run_id),
        }


def this_user() -> str:
    """Who runs the daemon, for commands that say no name."""
    try:
        return getpass.getuser()
    except OSError:
        return "unknown"
