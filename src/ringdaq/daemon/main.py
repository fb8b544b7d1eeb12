"""The composition root: makes all parts of a daemon, joins them, and takes them down again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial

from ringdaq.config import DaemonConfig, Rig, nearest, raise_problems
from ringdaq.daemon.api import Api
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.bell import Bell
from ringdaq.daemon.catalogue import CatalogueDesk
from ringdaq.daemon.control_server import ControlServer
from ringdaq.daemon.head_start import HeadStart
from ringdaq.daemon.instruments import InstrumentHost, scalar_streams
from ringdaq.daemon.keeping import Keeper
from ringdaq.daemon.old_rings import OldRings, Sweeper
from ringdaq.daemon.pipelines import PipelineDesk
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.queue import RunQueue
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.run_manager import RunManager
from ringdaq.daemon.safety import make_all_safe
from ringdaq.daemon.sizing import check_limit, plan
from ringdaq.daemon.sources import Poller, Producer, SourceThread
from ringdaq.daemon.state import (
    StateDirectory,
    default_data_directory,
    default_ring_directory,
    ring_directory,
)
from ringdaq.daemon.store import Store
from ringdaq.daemon.workers import Worker
from ringdaq.errors import RecordingError, ServiceError
from ringdaq.instruments import Registry, build_instruments
from ringdaq.model import StreamSpec
from ringdaq.scripts import sandbox
from ringdaq.scripts.spares import Spares
from ringdaq.streams import StreamWriter

log = logging.getLogger(__name__)

CHILD_SECS = 20.0
SEAL_SECS = 30.0
STOP_RUN_SECS = 7.0


class Daemon:
    """One laboratory's daemon: start it, wait, stop it."""

    def __init__(self, rig: Rig, state: StateDirectory, children: HeadStart) -> None:
        self.rig = rig
        self.state = state
        self.stopping = threading.Event()
        self._bell = Bell()
        wanted = {"recorder": rig.daemon.recorder, "gateway": rig.daemon.gateway}
        self._children = children.keep([name for name, on in wanted.items() if on])
        self._sources: list[SourceThread] = []
        self._failure = ""
        data = rig.resolve(rig.daemon.data_directory or default_data_directory())
        data.mkdir(parents=True, exist_ok=True)
        rings = rig.resolve(rig.daemon.ring_directory or default_ring_directory(state.path))
        self._store = Store(state.database)
        self._audit = Audit(self._store, state.audit_tail)
        self._publisher = Publisher(
            rig,
            ring_directory(rings, rig.daemon.ring_group),
            lambda: self._sweeper.ring_closed(),
        )
        self._desk = RecordingDesk(
            rig,
            data,
            lambda run_id: self._runs.note_recording(run_id),
            lambda streams: self._pipelines.provenance(streams),
        )
        self._old_rings = OldRings(self._publisher.rings, self._desk.awaited_rings)
        self._sweeper = Sweeper(self._old_rings)
        self._registry = build_instruments(rig)
        self._hosts = self._make_hosts(self._registry)
        self._open_streams()
        self._pipelines = PipelineDesk(
            rig,
            self._publisher,
            self._desk,
            self._audit,
            state.socket_path(),
            absent=[entry.name for entry in self._registry.failures],
        )
        self._spares = Spares()
        self._runs = RunManager(
            rig,
            self._hosts,
            self._publisher,
            self._desk,
            self._store,
            self._audit,
            self._spares.take,
        )
        self._queue = RunQueue(self._runs, self._store, self._audit)
        self._keeper = Keeper(
            rig, self._desk, self._publisher, lambda: [h.describe() for h in self._hosts.values()]
        )
        self._api = Api(
            rig=rig,
            hosts=self._hosts,
            publisher=self._publisher,
            desk=self._desk,
            runs=self._runs,
            queue=self._queue,
            store=self._store,
            audit=self._audit,
            pid=os.getpid(),
            stop=self.request_stop,
        )
        self._catalogue = CatalogueDesk(data, self._audit)
        methods = self._api.methods() | self._keeper.methods() | self._catalogue.methods()
        methods |= self._pipelines.methods()
        self._server = ControlServer(state.socket_path(), methods)

    # --- instruments and their streams

    def _make_hosts(self, registry: Registry) -> dict[str, InstrumentHost]:
        self._links: dict[str, Worker] = {}
        hosts = {}
        for entry in registry.entries.values():
            link = self._links.get(entry.link)
            if link is None:
                link = self._links[entry.link] = Worker(f"link-{entry.link}")
            hosts[entry.name] = InstrumentHost(entry, link, self._publisher, self._audit)
            if entry.error:
                log.error("%s could not be connected: %s", entry.name, entry.error)
        return hosts

    def _open_streams(self) -> None:
        """Make every ring the rig needs, after checking that all of them fit."""
        planned = {name: self._specs(host) for name, host in self._hosts.items()}
        self._check_stream_names({spec.name for specs in planned.values() for spec in specs})
        plans = [plan(spec, self.rig) for specs in planned.values() for spec in specs]
        check_limit(plans, self.rig)
        self._old_rings.make_room(plans)
        for name, specs in planned.items():
            sinks = {spec.name: self._publisher.open(spec) for spec in specs}
            self._connect(self._hosts[name], sinks)

    def _check_stream_names(self, names: set[str]) -> None:
        """Refuse a `[stream.NAME]` that no instrument fills; one that is away might have."""
        if self._registry.failures:
            return
        raise_problems(
            [
                self.rig.problem(("stream", name), f"no stream {name!r}; {nearest(name, names)}")
                for name in self.rig.streams
                if name not in names
            ],
            self.rig.path,
        )

    def _specs(self, host: InstrumentHost) -> list[StreamSpec]:
        entry = host.entry
        if entry.instrument is None:
            return []
        specs = scalar_streams(entry)
        if "FrameProducer" in entry.capabilities:
            specs.append(entry.instrument.frame_spec())
        if "SampleProducer" in entry.capabilities:
            specs.extend(entry.instrument.stream_specs())
        return specs

    def _connect(self, host: InstrumentHost, sinks: Mapping[str, StreamWriter]) -> None:
        entry = host.entry
        if entry.instrument is None:
            return
        if "FrameProducer" in entry.capabilities:
            entry.instrument.set_sink(sinks[entry.instrument.frame_spec().name])
        if "SampleProducer" in entry.capabilities:
            self._sources.append(Producer(entry.instrument, sinks))
        if entry.config.poll_hz > 0:
            self._sources.append(Poller(host, entry.config.poll_hz))

    # --- its life

    def start(self) -> None:
        """Come up: safe instruments, closed old runs, the socket, the children, the sources."""
        self._make_safe()
        for run_id in self._store.interrupt_open_runs():
            log.warning("run %s was open when an earlier daemon died: interrupted", run_id)
            self._desk.expect([run_id])
        self._server.start()
        self._let_children_go()
        self._tell_sandbox()
        self._spares.start()
        for source in (self._sweeper, *self._sources):
            source.start()
        self._pipelines.start()
        self._keeper.start()
        self.state.publish(
            control_socket=str(self._server.path),
            ring_directory=str(self._publisher.rings.path),
            data_directory=str(self._desk.data_directory),
            grpc_address=self._api.grpc_address,
            websocket_address=self._api.websocket_address,
        )
        self._queue.start()
        log.info("ready: rig %r, control socket %s", self.rig.name, self._server.path)

    def _tell_sandbox(self) -> None:
        """What confines scripts here."""
        found, policy = sandbox.probe(), self.rig.scripts.policy
        log.log(logging.WARNING if found.missing else logging.INFO, "%s, policy=%s", found, policy)

    def _make_safe(self) -> None:
        connected = (h for h in self._hosts.values() if h.entry.instrument)
        for name, outcome in make_all_safe(connected).items():
            if outcome != "safe":
                log.error("%s is not known to be safe: %s", name, outcome)

    def _let_children_go(self) -> None:
        arguments = {"recorder": self._recorder_arguments, "gateway": self._gateway_arguments}
        for child in self._children:
            child.release(arguments[child.name](), self._give_up)
            if child.name == "gateway":
                self._await_gateway()
                # A port that somebody takes while it starts again is no reason to end runs.
                child.insist()

    def _recorder_arguments(self) -> list[str]:
        return ["--socket", str(self._server.path)]

    def _gateway_arguments(self) -> list[str]:
        self.state.token()
        return [
            *("--socket", str(self._server.path)),
            *("--port", str(self.rig.daemon.grpc_port)),
            *("--websocket-port", str(_websocket_port(self.rig.daemon))),
            *("--token-file", str(self.state.token_file)),
            *("--rings", str(self._publisher.rings.path)),
        ]

    def _give_up(self, name: str) -> None:
        self._failure = f"the {name} cannot run here; its own message says why"
        self.request_stop()
        self._api.gateway_ready.set()

    def _await_gateway(self) -> None:
        if not self._api.gateway_ready.wait(CHILD_SECS):
            raise ServiceError(f"the gateway should be up within {CHILD_SECS:g} s and is not")
        if self._failure:
            raise ServiceError(self._failure)

    def request_stop(self) -> None:
        """End `wait`; any thread may call, and a signal handler."""
        self.stopping.set()
        self._bell.ring()

    def wait(self) -> None:
        """Serve until somebody asks for the end; raises `ServiceError` if a part gave up."""
        while not self.stopping.is_set():
            self._bell.wait()
        if self._failure:
            raise ServiceError(self._failure)

    def close(self) -> None:
        """Go down in order: runs, sources, recordings, children, instruments, rings.

        What fails of it is told, and does not keep the rest from being done.
        """
        self.stopping.set()
        steps: tuple[Callable[[], object], ...] = (
            self._queue.close,
            partial(self._runs.close, STOP_RUN_SECS),
            self._queue.join,
            self._spares.close,
            *(source.stop for source in (self._sweeper, *self._sources)),
            self._make_safe,
            self._pipelines.close,
            self._keeper.close,
            self._seal,
            *(child.stop for child in reversed(self._children)),
            self._server.close,
            self._publisher.close,
            self._old_rings.close,
            self._close_instruments,
            self._catalogue.close,
            self._audit.close,
            self._store.close,
            self.state.release,
            self._bell.close,
        )
        for step in steps:
            try:
                step()
            except Exception:
                log.exception("the daemon could not end a part of itself in good order")

    def _seal(self) -> None:
        try:
            self._desk.wait_all_sealed(SEAL_SECS if self._desk.attached else 0.0)
        except RecordingError as error:
            log.error("%s", error)

    def _close_instruments(self) -> None:
        for host in self._hosts.values():
            host.close()
        for link in self._links.values():
            link.close()
        self._registry.close()


def _websocket_port(config: DaemonConfig) -> int:
    """As written, else the one after gRPC's; 0, any free one, where gRPC's is any or the last."""
    if config.websocket_port is not None:
        return config.websocket_port
    return (config.grpc_port + 1) % 65536 if config.grpc_port else 0
