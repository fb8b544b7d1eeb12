"""The pipelines of a daemon: started with it or on demand, asked and changed by local peers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ringdaq.config import PipelineConfig, Rig, nearest, parse_pipeline
from ringdaq.daemon.audit import Audit
from ringdaq.daemon.control_server import Method, Peer
from ringdaq.daemon.hosted import HostedPipeline
from ringdaq.daemon.pipeline_spare import PipelineSpare
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.stream_names import kept_names, result_names
from ringdaq.errors import BadRequestError, PipelineBusyError, UnknownPipelineError

PIPELINE = "pipeline"
"""Of a stream's metadata: the name of the pipeline that makes it."""
DRAIN_SECS = 65.0
LOOK_SECS = 1.0


class PipelineDesk:
    """Starts pipelines, and answers `pipeline.…` on the control socket."""

    def __init__(
        self,
        rig: Rig,
        publisher: Publisher,
        desk: RecordingDesk,
        audit: Audit,
        socket: Path,
        *,
        absent: Collection[str] = (),
    ) -> None:
        """`absent` are the instruments that could not be connected."""
        self._rig, self._publisher, self._desk = rig, publisher, desk
        self._audit = audit
        self._kept = kept_names(rig, absent)
        self._lock = threading.Lock()
        # Of two peers that bring a text of one name, the second finds the first one's pipeline.
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._watch = threading.Thread(
            target=self._look_after_all, name="pipeline-watch", daemon=True
        )
        self._spare = PipelineSpare(socket)
        self._hosted = {
            name: self._host(rig.pipeline(name), inline=entry.file is None)
            for name, entry in rig.pipelines.items()
        }

    def _host(self, config: PipelineConfig, *, inline: bool) -> HostedPipeline:
        self._spare.know([stage.type for stage in config.stages])
        return HostedPipeline(
            config,
            inline=inline,
            results=result_names(config),
            spawn=self._spare.take,
            publisher=self._publisher,
            desk=self._desk,
        )

    def methods(self) -> dict[str, Method]:
        """The table that the control server serves."""
        return {
            "pipeline.list": self._list,
            "pipeline.start": self._start,
            "pipeline.stop": self._stop,
            "pipeline.pause": self._pause,
            "pipeline.resume": self._resume,
            "pipeline.drain": self._drain,
            "pipeline.set": self._set,
            "pipeline.stats": self._stats,
            "pipeline.attach": self._attach,
            "pipeline.report": self._report,
            "pipeline.answer": self._answer,
        }

    def start(self) -> None:
        """Start what the rig file wants started."""
        for name, entry in self._rig.pipelines.items():
            if entry.start:
                self._hosted[name].start({})
        self._watch.start()

    def _look_after_all(self) -> None:
        while not self._stopping.wait(LOOK_SECS):
            for hosted in self._all():
                hosted.look_after()

    def close(self) -> None:
        """End all of them, at the same time."""
        self._stopping.set()
        threads = [threading.Thread(target=one.stop) for one in self._all() if one.is_busy]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._spare.close()

    def provenance(self, streams: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts of the pipelines that made some of these streams."""
        names = {entry["spec"]["metadata"].get(PIPELINE) for entry in streams}
        return [one.provenance() for one in self._all() if one.name in names]

    def _all(self) -> list[HostedPipeline]:
        with self._lock:
            return list(self._hosted.values())

    def _named(self, name: str) -> HostedPipeline:
        with self._lock:
            if name not in self._hosted:
                raise UnknownPipelineError(
                    f"no pipeline {name!r}; {nearest(name, self._hosted)}", pipeline=name
                )
            return self._hosted[name]

    # --- for everybody

    def _list(self, peer: Peer) -> list[dict[str, Any]]:
        del peer
        return [one.describe() for one in self._all()]

    def _start(
        self,
        peer: Peer,
        name: str = "",
        text: str = "",
        path: str = "",
        preset: str = "",
        parameters: Mapping[str, Any] | None = None,
        hold: bool = False,
        user: str = "",
    ) -> dict[str, Any]:
        """Start one of the rig's, or one whose text is given; with `hold` not before `resume`."""
        if bool(name) == bool(text):
            raise BadRequestError("give the name of one of the rig's pipelines, or a text")
        with self._starting:
            hosted = self._named(name) if name else self._take_text(text, path, preset)
            hosted.start(parameters or {}, hold=hold)
        self._note(peer, user, "start", hosted, dict(parameters or {}))
        return hosted.describe()

    def _take_text(self, text: str, path: str, preset: str) -> HostedPipeline:
        config = parse_pipeline(text, Path(path or "pipeline.toml"))
        if preset:
            config = config.with_preset(preset)
        with self._lock:
            there = self._hosted.get(config.name)
            if there is not None and (there.is_busy or config.name in self._rig.pipelines):
                raise PipelineBusyError(
                    f"there is a pipeline {config.name!r} already; stop it, or rename this one",
                    pipeline=config.name,
                )
            made = self._hosted[config.name] = self._host(config, inline=False)
        return made

    def _stop(self, peer: Peer, name: str, user: str = "") -> dict[str, Any]:
        hosted = self._named(name)
        self._note(peer, user, "stop", hosted)
        hosted.stop()
        return hosted.describe()

    def _pause(self, peer: Peer, name: str, user: str = "") -> dict[str, Any]:
        return self._tell(peer, user, "pause", name)

    def _resume(self, peer: Peer, name: str, user: str = "") -> dict[str, Any]:
        told = self._tell(peer, user, "resume", name)
        self._named(name).hold = False
        return told

    def _drain(self, peer: Peer, name: str, user: str = "") -> dict[str, Any]:
        return self._tell(peer, user, "drain", name, DRAIN_SECS)

    def _tell(
        self, peer: Peer, user: str, verb: str, name: str, timeout: float = 10.0
    ) -> dict[str, Any]:
        hosted = self._named(name)
        self._note(peer, user, verb, hosted)
        return hosted.ask(verb, {}, timeout) | hosted.describe()

    def _set(
        self, peer: Peer, name: str, values: Mapping[str, Any], user: str = ""
    ) -> dict[str, Any]:
        """Change parameters, `stage.parameter`; refused while its streams are recorded."""
        hosted = self._named(name)
        with self._desk.unrecorded(hosted.streams, name):
            hosted.change(values)
        self._note(peer, user, "set", hosted, dict(values))
        return hosted.describe()

    def _stats(self, peer: Peer, name: str) -> dict[str, Any]:
        del peer
        hosted = self._named(name)
        if not hosted.at_work:
            return hosted.figures | hosted.describe()
        return hosted.ask("stats", {}) | hosted.describe()

    def _note(
        self, peer: Peer, user: str, verb: str, hosted: HostedPipeline, new: Any = None
    ) -> None:
        self._audit.note(user or peer.who, f"pipeline.{verb}", hosted.name, new=new)

    # --- for the pipelines' own processes

    def _attach(self, peer: Peer, name: str) -> dict[str, Any]:
        hosted = self._named(name)
        peer.on_close.append(lambda: hosted.detach(peer.send_event))
        hosted.attach(peer.send_event)
        return {
            "name": name,
            "text": hosted.config.text,
            "path": str(hosted.config.path),
            "inline": hosted.inline,
            "preset": hosted.config.preset,
            "hold": hosted.hold,
            "parameters": dict(hosted.parameters),
            "directory": str(self._publisher.rings.path),
            "taken": self._taken(hosted),
            "promised": self._promised(hosted),
        }

    def _taken(self, hosted: HostedPipeline) -> list[str]:
        """The streams that others write, or will when they are there."""
        names = {ring.spec.name for ring in self._publisher.open_rings()}
        return sorted(names - set(hosted.streams) | self._kept)

    def _promised(self, hosted: HostedPipeline) -> list[str]:
        """The streams that other pipelines make, which may not have begun."""
        return sorted({name for one in self._all() if one is not hosted for name in one.results})

    def _report(
        self,
        peer: Peer,
        name: str,
        state: str,
        error: str = "",
        rings: list[dict[str, Any]] | None = None,
        figures: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        self._named(name).report(peer.send_event, state, error, rings or [], figures or {})
        return {}

    def _answer(self, peer: Peer, name: str, ask: int, reply: dict[str, Any]) -> dict[str, Any]:
        del peer
        self._named(name).answer(ask, reply)
        return {}
