"""What local peers can ask of the daemon: the methods of the control socket."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ringdaq import __version__
from ringdaq.clock import now_nanos
from ringdaq.config import Rig
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.control_server import ARRIVED, Method, Peer
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.queue import RunQueue
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.run_manager import RunManager
from ringdaq.daemon.safety import make_all_safe
from ringdaq.daemon.store import Store
from ringdaq.daemon.ticket import TICKET
from ringdaq.errors import (
    BadRequestError,
    BusyError,
    RingdaqError,
    UnknownInstrumentError,
    from_wire,
    to_wire,
)

MAX_WAIT_SECS = 3600.0
MAX_LIMIT = 10_000


def memory_bytes() -> int:
    """The resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def bounded(limit: Any) -> int:
    """A list's length limit; refuses nonsense."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= MAX_LIMIT:
        raise BadRequestError(
            f"limit must be a whole number from 1 to {MAX_LIMIT}; found {limit!r}"
        )
    return limit


class Api:
    """The daemon's methods, by the names they have on the control socket."""

    def __init__(
        self,
        *,
        rig: Rig,
        hosts: Mapping[str, InstrumentHost],
        publisher: Publisher,
        desk: RecordingDesk,
        runs: RunManager,
        queue: RunQueue,
        store: Store,
        audit: Audit,
        pid: int,
        stop: Callable[[], None],
    ) -> None:
        self._rig, self._hosts, self._publisher, self._desk = rig, hosts, publisher, desk
        self._runs, self._store, self._audit = runs, store, audit
        self._queue = queue
        self._pid, self._stop = pid, stop
        self._started = time.monotonic()
        self.grpc_address = self.websocket_address = ""
        self.gateway_ready = threading.Event()

    def methods(self) -> dict[str, Method]:
        """The table that the control server serves."""
        return {
            "hello": self._hello,
            "info": self._info,
            "instruments.list": self._instruments_list,
            "instruments.call": self._instruments_call,
            "scripts.upload": self._scripts_upload,
            "scripts.list": self._scripts_list,
            "scripts.get": self._scripts_get,
            "scripts.dry_run": self._scripts_dry_run,
            "runs.start": self._runs_start,
            "runs.stop": self._runs_stop,
            "runs.pause": self._runs_pause,
            "runs.resume": self._runs_resume,
            "runs.status": self._runs_status,
            "runs.wait": self._runs_wait,
            "runs.list": self._runs_list,
            "queue.add": self._queue_add,
            "queue.list": self._queue_list,
            "queue.move": self._queue_move,
            "queue.remove": self._queue_remove,
            "queue.edit": self._queue_edit,
            "queue.repeat": self._queue_repeat,
            "queue.pause": self._queue_pause,
            "queue.resume": self._queue_resume,
            "streams.list": self._streams_list,
            "system.status": self._system_status,
            "audit.list": self._audit_list,
            "panic": self._panic,
            "recorder.attach": self._recorder_attach,
            "recorder.report": self._recorder_report,
            "gateway.ready": self._gateway_ready,
            "shutdown": self._shutdown,
        }

    # --- the daemon itself

    def _hello(
        self, peer: Peer, role: str, user: str = "", pid: int = 0, version: str = ""
    ) -> dict[str, Any]:
        del pid  # the kernel's word counts, not the peer's
        peer.role, peer.user = role[:40], user[:80]
        return {"version": __version__, "pid": self._pid, "peer_version": version}

    def _info(self, peer: Peer) -> dict[str, Any]:
        del peer
        return {
            "version": __version__,
            "pid": self._pid,
            "uptime_secs": time.monotonic() - self._started,
            "features": self._features(),
            "instruments": [host.describe() for host in self._hosts.values()],
            "grpc_address": self.grpc_address,
            "websocket_address": self.websocket_address,
            "rig": self._rig.name,
            "data_directory": str(self._desk.data_directory),
        }

    def _features(self) -> list[str]:
        have = {"gateway": self._rig.daemon.gateway, "recorder": self._rig.daemon.recorder}
        return ["python-scripts", "rhai-scripts", *(name for name, on in have.items() if on)]

    def _system_status(self, peer: Peer) -> dict[str, Any]:
        del peer
        active = self._runs.active()
        return {
            "state": "running" if active else "idle",
            "uptime_secs": time.monotonic() - self._started,
            "memory_bytes": memory_bytes(),
            "live_values": self._publisher.live_values(),
            "active_runs": [run.status() for run in active],
            "timestamp_nanos": now_nanos(),
        }

    def _audit_list(self, peer: Peer, limit: int = 100) -> list[dict[str, Any]]:
        del peer
        self._audit.flush()
        return self._store.audit(bounded(limit))

    def _shutdown(self, peer: Peer) -> dict[str, Any]:
        self._audit.note(peer.who, "shutdown", "daemon")
        self._stop()
        return {}

    # --- instruments

    def _instruments_list(self, peer: Peer) -> list[dict[str, Any]]:
        del peer
        return [host.describe() for host in self._hosts.values()]

    def _instruments_call(
        self,
        peer: Peer,
        instrument: str,
        verb: str,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        key: str | None = None,
        user: str = "",
    ) -> dict[str, Any]:
        host = self._hosts.get(instrument)
        if host is None:
            raise UnknownInstrumentError(
                f"the rig has no instrument {instrument!r}; "
                f"it has: {', '.join(sorted(self._hosts))}",
                instrument=instrument,
            )
        who, arrived = user or peer.who, ARRIVED.get()

        def call() -> Any:
            return host.call(verb, args or [], kwargs or {}, who=who, arrived=arrived)

        return {"value": call()} if key is None else self._call_once(key, call)

    def _call_once(self, key: str, call: Callable[[], Any]) -> dict[str, Any]:
        """Carry a keyed command out once, however often it is sent; an error is an answer too."""
        fresh, reply = self._store.begin_command(key)
        if fresh:
            try:
                reply = {"value": call()}
            except RingdaqError as error:
                if (ticket := TICKET.get()) is not None and ticket.withdrawn:
                    self._store.forget_command(key)
                    raise
                reply = {"error": to_wire(error)}
            self._store.end_command(key, reply)
        elif reply is None:
            raise BusyError(
                f"the command with the key {key!r} was begun and has not answered; "
                "look at the instrument before you send a new one"
            )
        if "error" in reply:
            raise from_wire(reply["error"])
        answer: dict[str, Any] = reply
        return answer

    def _panic(self, peer: Peer, user: str = "") -> dict[str, Any]:
        """Nobody commands any more; everything to its safe state; what waits for a disk is last."""
        who = user or peer.who
        self._runs.note_panic()
        self._queue.hold(f"panic by {who}")
        for run in self._runs.active():
            run.disarm()
        outcome = make_all_safe(h for h in self._hosts.values() if h.entry.instrument)
        for run in self._runs.active():
            run.stop(force=True, user=who)
        self._audit.note(who, "panic", "all instruments", new=outcome)
        self._queue.keep()
        return {"instruments": outcome}

    # --- scripts and runs

    def _scripts_upload(
        self,
        peer: Peer,
        content: str | bytes,
        name: str,
        metadata: dict[str, str] | None = None,
        user: str = "",
    ) -> dict[str, Any]:
        return self._runs.upload(content, name, metadata or {}, user or peer.who)

    def _scripts_list(self, peer: Peer) -> list[dict[str, Any]]:
        del peer
        return self._store.scripts()

    def _scripts_get(self, peer: Peer, script_id: str) -> dict[str, Any]:
        del peer
        return self._store.script(script_id)

    def _scripts_dry_run(
        self,
        peer: Peer,
        script: str,
        parameters: dict[str, Any] | None = None,
        instruments: list[str] | None = None,
    ) -> dict[str, Any]:
        del peer
        return self._runs.dry_run(script, parameters or {}, instruments)

    def _runs_start(
        self,
        peer: Peer,
        script: str,
        parameters: dict[str, Any] | None = None,
        instruments: list[str] | None = None,
        user: str = "",
    ) -> dict[str, Any]:
        run_id = self._runs.start(script, parameters or {}, instruments, user or peer.who)
        return {"run_id": run_id}

    def _runs_stop(
        self, peer: Peer, run_id: str, force: bool = False, user: str = ""
    ) -> dict[str, Any]:
        status = self._runs.stop(run_id, force=force, user=user or peer.who)
        return {"state": status["state"]}

    def _runs_pause(self, peer: Peer, run_id: str, user: str = "") -> dict[str, Any]:
        return {"state": self._runs.pause(run_id, user=user or peer.who)["state"]}

    def _runs_resume(self, peer: Peer, run_id: str, user: str = "") -> dict[str, Any]:
        return {"state": self._runs.resume(run_id, user=user or peer.who)["state"]}

    def _runs_status(self, peer: Peer, run_id: str) -> dict[str, Any]:
        del peer
        return self._runs.status(run_id)

    def _runs_wait(
        self, peer: Peer, run_id: str, timeout: float, sealed: bool = False
    ) -> dict[str, Any]:
        del peer
        return self._runs.wait(run_id, min(float(timeout), MAX_WAIT_SECS), sealed=sealed)

    def _runs_list(
        self,
        peer: Peer,
        script_id: str | None = None,
        state: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        del peer
        return self._runs.listed(script_id, state, bounded(limit))

    # --- the queue

    def _queue_add(
        self,
        peer: Peer,
        script: str,
        parameters: dict[str, Any] | None = None,
        instruments: list[str] | None = None,
        repeat: int = 1,
        on_failure: str = "stop",
        dry_run: bool = True,
        user: str = "",
    ) -> dict[str, Any]:
        return self._queue.add(
            script,
            parameters or {},
            instruments,
            repeat=repeat,
            on_failure=on_failure,
            dry_run=dry_run,
            user=user or peer.who,
        )

    def _queue_list(self, peer: Peer) -> dict[str, Any]:
        del peer
        return self._queue.listed()

    def _queue_move(self, peer: Peer, entry_id: str, to: int, user: str = "") -> dict[str, Any]:
        return self._queue.move(entry_id, to, user or peer.who)

    def _queue_remove(self, peer: Peer, entry_id: str, user: str = "") -> dict[str, Any]:
        return self._queue.remove(entry_id, user or peer.who)

    def _queue_edit(
        self,
        peer: Peer,
        entry_id: str,
        dry_run: bool = True,
        user: str = "",
        **changes: Any,
    ) -> dict[str, Any]:
        return self._queue.edit(entry_id, changes, user or peer.who, dry_run=dry_run)

    def _queue_repeat(
        self, peer: Peer, entry_id: str, times: int, user: str = ""
    ) -> dict[str, Any]:
        return self._queue.edit(entry_id, {"repeat": times}, user or peer.who, dry_run=False)

    def _queue_pause(self, peer: Peer, user: str = "") -> dict[str, Any]:
        return self._queue.pause(user or peer.who)

    def _queue_resume(self, peer: Peer, user: str = "") -> dict[str, Any]:
        return self._queue.resume(user or peer.who)

    # --- streams, recorder, gateway

    def _streams_list(self, peer: Peer) -> list[dict[str, Any]]:
        del peer
        return self._publisher.describe()

    def _recorder_attach(self, peer: Peer) -> dict[str, Any]:
        peer.on_close.append(lambda: self._desk.detach(peer.send_event))
        return self._desk.attach(peer.send_event)

    def _recorder_report(self, peer: Peer, recording_id: str, **report: Any) -> dict[str, Any]:
        del peer
        self._desk.report(recording_id, **report)
        return {}

    def _gateway_ready(
        self, peer: Peer, address: str, websocket_address: str = ""
    ) -> dict[str, Any]:
        del peer
        self.grpc_address, self.websocket_address = address, websocket_address
        self.gateway_ready.set()
        return {}
