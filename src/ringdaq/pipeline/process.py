"""A pipeline's own process: it asks the daemon what to run, runs it, and answers questions."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.config import PipelineConfig, parse_pipeline, parse_rig
from ringdaq.control import ControlClient
from ringdaq.errors import (
    BadRequestError,
    ConfigError,
    NotConnectedError,
    PipelineError,
    RingdaqError,
    ServiceError,
    StreamError,
    to_wire,
)
from ringdaq.pipeline.build import Built, build
from ringdaq.pipeline.endings import AGAIN, ENDED, FAILED, SPOILT, exit_code, state_after
from ringdaq.pipeline.graph import CheckedGraph, check
from ringdaq.pipeline.running import RunningPipeline
from ringdaq.pipeline.stages.rings import RingSink
from ringdaq.streams import RingDirectory, StreamReader

log = logging.getLogger(__name__)

BEAT_SECS = 1.0
LOOK_SECS = 0.5
CALL_SECS = 10.0
DRAIN_SECS = 60.0
STOP_SECS = 5.0
SOURCE_SECS = 0.25
AGAIN_SECS = 1.0
PREPARE_SECS = 3600.0
"""The longest that getting ready may take: a source may look for what it reads for 600 s a step."""
END_SECS = 90.0
"""The longest that an end may take: what is on its way, and the loop of the sinks in Python."""
KEPT_RINGS = 2


class PipelineProcess:
    """Runs one pipeline for the daemon at a control socket."""

    def __init__(self, socket: Path, name: str) -> None:
        self._name = name
        self._events: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._client = ControlClient.connect(
            socket, lambda event, params: self._events.put((event, params))
        )
        self._pipeline: RunningPipeline | None = None
        self._asked = ThreadPoolExecutor(4, thread_name_prefix="ask")
        self._go = threading.Event()
        self._drained = self._asked_to_end = self._leaving = False
        self._told = ("starting", "")
        self._beat_at = 0.0
        # A report is made up and sent under it: an older one never arrives after a newer one.
        self._reporting = threading.RLock()

    def stop(self) -> None:
        """Leave soon, with what is on its way finished. A signal handler may call."""
        self._events.put(("stop", {}))

    def run(self) -> int:
        """Run the pipeline to its end; returns the process's exit code."""
        threading.Thread(target=self._watch, name="watch-daemon", daemon=True).start()
        try:
            order = self._attach()
            built = self._prepare(order)
            if built is None:
                return ENDED
            pipeline = self._pipeline = RunningPipeline(built)
            self._report("ready", rings=rings_of(built))
            self._await_go(order)
            if not self._leaving:
                with self._beating(PREPARE_SECS):
                    pipeline.start()
            return self._serve(pipeline)
        except Exception as error:
            self._report(state_after(exit_code(error)), said_by(error))
            raise
        finally:
            self._asked.shutdown(cancel_futures=True)
            self._client.close()

    def _watch(self) -> None:
        self._client.closed.wait()
        self._events.put(("stop", {}))

    # --- what is to run

    def _attach(self) -> dict[str, Any]:
        self._client.call("hello", {"role": "pipeline", "pid": os.getpid(), "version": __version__})
        order: dict[str, Any] = self._client.call("pipeline.attach", {"name": self._name})
        return order

    def _prepare(self, order: Mapping[str, Any]) -> Built | None:
        """Build it as soon as all that it reads is there; None if it is to leave before."""
        config = config_of(order)
        while not self._leaving:
            self._await_sources(config, order)
            try:
                with self._beating(PREPARE_SECS):
                    return self._build(config, order)
            except NotConnectedError as error:
                self._report("waiting", str(error))
                self._listen(AGAIN_SECS)
        return None

    def _build(self, config: PipelineConfig, order: Mapping[str, Any]) -> Built:
        rings = Path(order["directory"])
        graph = check(config, rings=rings, connect=True)
        try:
            streams = streams_written(graph)
            check_names(config, streams, order["taken"])
            for stream in streams:
                make_room(RingDirectory(rings), stream)
            return build(graph)
        except BaseException:
            graph.close()
            raise

    def _await_sources(self, config: PipelineConfig, order: Mapping[str, Any]) -> None:
        """Wait for streams whose writers are gone, and for those of pipelines that come up."""

        def is_away(stream: str) -> bool:
            return is_over(rings, stream) or (
                stream in order["promised"] and not RingDirectory(rings).generations(stream)
            )

        rings = Path(order["directory"])
        away = list(filter(is_away, streams_read(config)))
        if not away:
            return
        self._report("waiting", f"nobody writes the stream {away[0]!r} now")
        while away and not self._leaving:
            self._listen(SOURCE_SECS)
            self._beat()
            away = list(filter(is_away, away))
        self._report("starting")

    def _await_go(self, order: Mapping[str, Any]) -> None:
        """Hold where the daemon wants to be asked before anything begins."""
        while order["hold"] and not self._go.is_set() and not self._leaving:
            self._listen(LOOK_SECS)
            self._beat()

    # --- what goes on

    def _serve(self, pipeline: RunningPipeline) -> int:
        while not self._leaving and pipeline.state != "ended":
            self._beat()
            self._listen(LOOK_SECS)
            if not self._drained and pipeline.cut_off:
                break
            if pipeline.over and not self._drained:
                self._drained = True
                self._asked.submit(pipeline.drain, DRAIN_SECS)
            if branch := pipeline.hanging():
                self._report(state_after(FAILED), f"branch {branch!r} shows no sign of life")
                return FAILED
        with self._beating(END_SECS):
            return self._finish(pipeline)

    def _finish(self, pipeline: RunningPipeline) -> int:
        if not pipeline.drain(STOP_SECS):
            log.warning("not everything was through within %g s", STOP_SECS)
            pipeline.stop(1.0)
        failures = "; ".join(pipeline.failures())
        due = self._asked_to_end or self._leaving or (self._drained and not pipeline.source_failed)
        code = (SPOILT if due else FAILED) if failures else ENDED if due else AGAIN
        self._report(state_after(code), failures)
        return code

    def _listen(self, timeout: float) -> None:
        """Take what the daemon says, for so long."""
        try:
            event, params = self._events.get(timeout=timeout)
        except queue.Empty:
            return
        if event in ("stop", "shutdown"):
            self._leaving = True
        elif event == "pipeline.ask":
            self._asked.submit(self._answer, params)

    # --- questions

    def _answer(self, params: Mapping[str, Any]) -> None:
        try:
            reply: dict[str, Any] = {"result": self._do(params["verb"], params["params"])}
        except Exception as error:
            if not isinstance(error, RingdaqError):
                log.exception("%s failed", params["verb"])
            reply = {"error": to_wire(error)}
        self._tell("pipeline.answer", {"name": self._name, "ask": params["ask"], "reply": reply})

    def _do(self, verb: str, params: Mapping[str, Any]) -> Any:
        pipeline = self._pipeline
        if pipeline is None:
            raise PipelineError(f"pipeline {self._name!r} is not ready yet", pipeline=self._name)
        if verb == "set":
            pipeline.set(params["values"])
        elif verb == "pause":
            pipeline.pause()
        elif verb == "resume":
            self._go.set()
            if pipeline.state == "paused":
                pipeline.resume()
        elif verb == "drain":
            self._drain(pipeline)
        elif verb != "stats":
            raise BadRequestError(f"a pipeline cannot {verb!r}")
        self._beat(now=True)
        return pipeline.statistics() | {"histograms": pipeline.latency()}

    def _drain(self, pipeline: RunningPipeline) -> None:
        self._drained = self._asked_to_end = True
        if not pipeline.drain(DRAIN_SECS):
            raise PipelineError(
                f"pipeline {self._name!r} was not empty within {DRAIN_SECS:g} s",
                pipeline=self._name,
            )

    # --- reports

    def _beat(self, *, now: bool = False) -> None:
        """Tell once a second that it lives, and at once what has changed."""
        pipeline = self._pipeline
        with self._reporting:
            told = self._told
            if pipeline is not None:
                told = pipeline.state, "; ".join(pipeline.failures())
            if now or told != self._told or time.monotonic() >= self._beat_at:
                self._report(*told)

    @contextmanager
    def _beating(self, most_secs: float) -> Iterator[None]:
        """Beat from a thread while the one that does so is at something that takes long.

        After so long it is taken for hanging, and beats no more.
        """
        done = threading.Event()
        beats = threading.Thread(
            target=self._beat_until, args=(done, most_secs), name="beat", daemon=True
        )
        beats.start()
        try:
            yield
        finally:
            done.set()
            beats.join()

    def _beat_until(self, done: threading.Event, most_secs: float) -> None:
        deadline = time.monotonic() + most_secs
        while not done.wait(BEAT_SECS) and time.monotonic() < deadline:
            self._beat()

    def _report(self, state: str, error: str = "", rings: Any = ()) -> None:
        with self._reporting:
            self._told = state, error
            self._beat_at = time.monotonic() + BEAT_SECS
            figures = None if self._pipeline is None else self._pipeline.statistics()
            params = {"name": self._name, "state": state, "error": error, "rings": list(rings)}
            self._tell("pipeline.report", params | {"figures": figures})

    def _tell(self, method: str, params: Mapping[str, Any]) -> None:
        try:
            self._client.call(method, params, timeout=CALL_SECS)
        except ServiceError as error:
            log.warning("the daemon was not told: %s", error)


def said_by(error: Exception) -> str:
    """An error for people; those of Python say little without their class."""
    return str(error) if isinstance(error, RingdaqError) else f"{type(error).__name__}: {error}"


def config_of(order: Mapping[str, Any]) -> PipelineConfig:
    """The pipeline that the daemon wants run, with what was changed since its text was read."""
    text, path = order["text"], Path(order["path"])
    if order["inline"]:
        config = parse_rig(text, path).pipeline(order["name"])
    else:
        config = parse_pipeline(text, path)
        config.name = order["name"]
        if order["preset"]:
            config = config.with_preset(order["preset"])
    return config.with_values(order["parameters"]) if order["parameters"] else config


def streams_read(config: PipelineConfig) -> list[str]:
    """The streams that a pipeline's text reads from rings."""
    found = [s.parameters.get("stream") for s in config.stages if s.type == "ring_source"]
    return [name for name in found if isinstance(name, str)]


def is_over(rings: Path, stream: str) -> bool:
    """Whether a stream has been there, and nobody writes it any more."""
    directory = RingDirectory(rings)
    paths = directory.generations(stream)
    return bool(paths) and paths[-1] in directory.dead(stream)


def streams_written(graph: CheckedGraph) -> list[str]:
    """The streams that a pipeline's ring sinks make."""
    parts = [stage.part for stage in graph.stages if stage.kind.role == "sink"]
    return [part.stream for part in parts if isinstance(part, RingSink)]


def check_names(config: PipelineConfig, streams: list[str], taken: list[str]) -> None:
    """Refuse results that would pass for somebody else's stream."""
    for stream in streams:
        if stream in taken or streams.count(stream) > 1:
            raise ConfigError(
                f"the stream {stream!r} is written by somebody else already; "
                f"give this one another name: {config.path}"
            )


def make_room(directory: RingDirectory, stream: str) -> None:
    """Remove what earlier runs left of a stream, but its newest rings with anything in them.

    A pipeline that dies again and again would fill the memory otherwise.
    """
    dead = directory.dead(stream)
    kept = [path for path in dead if has_records(path)][-KEPT_RINGS:]
    for path in dead:
        if path not in kept:
            directory.remove(path)


def has_records(path: Path) -> bool:
    """Whether a ring holds anything that can be read."""
    try:
        with StreamReader.open(path) as reader:
            return reader.statistics().records > 0
    except StreamError:
        return False


def rings_of(built: Built) -> list[dict[str, str]]:
    """The rings that were made, for the daemon."""
    found = []
    for path in built.rings.values():
        with StreamReader.open(path) as reader:
            found.append({"path": str(path), "generation": reader.generation})
    return found
