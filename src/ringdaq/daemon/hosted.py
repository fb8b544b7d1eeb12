"""One pipeline as the daemon sees it: its process, its rings, and what it is asked."""

from __future__ import annotations

import itertools
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ringdaq.clock import now_nanos
from ringdaq.daemon.open_rings import ForeignRing
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.supervisor import Child
from ringdaq.errors import (
    BadRequestError,
    PipelineStoppedError,
    ServiceError,
    StreamError,
    from_wire,
    to_wire,
)

log = logging.getLogger(__name__)

ASK_SECS = 10.0
SET_SECS = 15.0
"""More than a process takes to change parameters, and to put them back."""
STOP_SECS = 10.0
SILENT_SECS = 10.0
FIRST_RECORD_SECS = 0.5
RESTARTED = "pipeline restarted"
ENDINGS = {0: "ended", 2: "failed", 4: "failed"}
"""What the exit codes mean after which a pipeline's process is not started again."""
AT_WORK = (
    "starting", "waiting", "ready", "running", "paused", "draining", "restarting",
)  # fmt: skip

Send = Callable[[str, dict[str, Any]], None]


class Text(Protocol):
    """A pipeline's text, read."""

    name: str
    preset: str

    @property
    def text(self) -> str:
        """As it was written."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def hash(self) -> str:
        """SHA-256 of the text and the preset's name, in hex."""

    def code(self) -> dict[str, str]:
        """The texts of its stages' Python files, by their paths in its text."""


class HostedPipeline:
    """Starts a pipeline's process again and again, lists its rings, and passes questions on."""

    def __init__(
        self,
        config: Text,
        *,
        inline: bool,
        spawn: Callable[[str], subprocess.Popen[bytes]],
        publisher: Publisher,
        desk: RecordingDesk,
    ) -> None:
        """`inline` says that the text is a rig file's, in which the pipeline is one of several.

        `spawn` starts a process that runs the pipeline of a name.
        """
        self.config, self.inline = config, inline
        self.name = config.name
        self.state = "stopped"
        self.error = ""
        """What went wrong last; empty while all is well."""
        self.parameters: dict[str, Any] = {}
        """What was changed while it ran, `stage.parameter`; holds after a restart too."""
        self.hold = False
        """Whether it waits for `resume` before it begins."""
        self._code: dict[str, str] = {}
        self.figures: dict[str, Any] = {}
        """What it counted, when it was last heard of."""
        self._heard = 0.0
        self._spawn, self._publisher, self._desk = spawn, publisher, desk
        self._lock = threading.Lock()
        # Changes are noted in the order in which they are made.
        self._changing = threading.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._send: Send | None = None
        self._rings: dict[str, ForeignRing] = {}
        self._child: Child | None = None
        self._changed_nanos = now_nanos()

    # --- its process

    @property
    def at_work(self) -> bool:
        """Whether it runs, or will again."""
        return self.state in AT_WORK

    def start(self, *, hold: bool = False) -> None:
        """Start its process; it is started again until it ends by itself or is stopped.

        With `hold` it makes its rings, and begins when it is told to `resume`.
        """
        self._enter("starting", "")
        self.hold, self.figures = hold, {}
        self._child = Child(
            f"pipeline {self.name}",
            (),
            final=ENDINGS,
            on_end=self._has_ended,
            spawn=self._begin,
        )
        self._child.start()

    def _begin(self) -> subprocess.Popen[bytes]:
        """A process, which reads its stages' files anew each time."""
        self._code = self.config.code()
        return self._spawn(self.name)

    def stop(self) -> None:
        """End its process: what is on its way is finished, for a few seconds at most."""
        self._enter("stopped", self.error)
        if self._child is not None:
            self._child.stop(STOP_SECS)
        self._disown()

    def _has_ended(self, word: str) -> None:
        self._enter(word, self.error)
        self._disown()

    def _disown(self) -> None:
        for stream in list(self._rings):
            self._publisher.disown(stream)

    def _enter(self, state: str, error: str) -> None:
        self.state, self.error, self._changed_nanos = state, error, now_nanos()

    # --- what its process says

    def attach(self, send: Send) -> None:
        """Its process has come."""
        with self._lock:
            self._send, self._heard = send, time.monotonic()

    def detach(self, send: Send) -> None:
        """Its process is gone: nobody will answer."""
        with self._lock:
            if self._send != send:
                return
            self._send = None
            asked, self._asked = list(self._asked.values()), {}
        if self.state not in ("stopped", *ENDINGS.values()):
            self._enter("restarting", self.error or "its process has died")
        for box in asked:
            box.put({"error": to_wire(self._not_running())})

    def report(
        self, state: str, error: str, rings: list[dict[str, Any]], figures: dict[str, Any]
    ) -> None:
        """Its process tells how it is, what it has counted, and which rings it has made."""
        self._heard = time.monotonic()
        if error and error != self.error:
            log.error("pipeline %s: %s", self.name, error)
        self.figures = figures or self.figures
        self.hold = self.hold and state in ("ready", "waiting")
        if self.state not in ("stopped", *ENDINGS.values()):
            self._enter(state, error)
        for ring in rings:
            self._take_ring(Path(ring["path"]), ring["generation"])

    def _take_ring(self, path: Path, generation: str) -> None:
        if path.parent != self._publisher.rings.path:
            raise BadRequestError(f"a ring should lie where the daemon's do: {path}")
        ring = ForeignRing(path, generation, self.name)
        before = self._rings.get(ring.spec.name)
        if before is None:
            self._list(ring)
        elif before.generation != generation:
            name = f"first-of-{ring.spec.name}"
            threading.Thread(
                target=self._go_on, args=(before, ring), name=name, daemon=True
            ).start()

    def _list(self, ring: ForeignRing) -> None:
        self._publisher.adopt(ring)
        self._rings[ring.spec.name] = ring

    def _go_on(self, before: ForeignRing, after: ForeignRing) -> None:
        """Once its first record tells how much is missing, take a next generation's ring."""
        try:
            while not after.wait_for_first(FIRST_RECORD_SECS):
                if not after.statistics().writer_alive:
                    return
            self._desk.succeed(before, after, RESTARTED)
            self._list(after)
        except StreamError as error:
            log.error("pipeline %s: %s", self.name, error)

    def look_after(self) -> None:
        """Kill a process that is there and says nothing any more; it is started again."""
        silent = self._send is not None and time.monotonic() - self._heard > SILENT_SECS
        if silent and self._child is not None:
            log.error("pipeline %s was silent for %g s and is killed", self.name, SILENT_SECS)
            self._child.kill()

    @property
    def streams(self) -> list[str]:
        """The streams that it has made."""
        return sorted(self._rings)

    # --- what it is asked

    def ask(
        self, verb: str, params: Mapping[str, Any], timeout: float = ASK_SECS
    ) -> dict[str, Any]:
        """Ask its process; raises what that raised, or `ServiceError` if nobody answers."""
        box: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            send = self._send
            if send is None:
                raise self._not_running()
            self._asked[number] = box
        try:
            send("pipeline.ask", {"ask": number, "verb": verb, "params": dict(params)})
            reply = box.get(timeout=timeout)
        except (queue.Empty, OSError):
            raise ServiceError(
                f"pipeline {self.name!r} did not answer {verb!r} within {timeout:g} s"
            ) from None
        finally:
            with self._lock:
                self._asked.pop(number, None)
        if "error" in reply:
            raise from_wire(reply["error"])
        result: dict[str, Any] = reply["result"]
        return result

    def change(self, values: Mapping[str, Any]) -> None:
        """Change parameters, `stage.parameter`, all or none.

        A process of which nobody knows what holds in it is ended: the next one begins with what is
        told here.
        """
        with self._changing:
            try:
                self.ask("set", {"values": dict(values)}, SET_SECS)
            except ServiceError as error:
                log.error("pipeline %s begins anew with its old parameters: %s", self.name, error)
                if self._child is not None:
                    self._child.kill()
                raise
            self.parameters = {**self.parameters, **values}

    def _not_running(self) -> PipelineStoppedError:
        why = f": {self.error}" if self.error else ""
        return PipelineStoppedError(
            f"pipeline {self.name!r} does not run now, it is {self.state}{why}", pipeline=self.name
        )

    def answer(self, number: int, reply: dict[str, Any]) -> None:
        """Take its process's answer; one that comes too late is nobody's."""
        with self._lock:
            box = self._asked.get(number)
        if box is not None:
            box.put(reply)

    # --- what is told of it

    def describe(self) -> dict[str, Any]:
        """How it is, as plain values."""
        child = self._child
        return {
            "name": self.name,
            "state": self.state,
            "error": self.error,
            "pid": None if child is None or not self.at_work else child.pid,
            "restarts": 0 if child is None else child.restarts,
            "streams": self.streams,
            "preset": self.config.preset,
            "parameters": dict(self.parameters),
            "hash": self.config.hash,
            "path": str(self.config.path),
            "changed_nanos": self._changed_nanos,
        }

    def provenance(self) -> dict[str, Any]:
        """What a recording of its streams says of it."""
        return {
            "name": self.name,
            "path": str(self.config.path),
            "text": self.config.text,
            "hash": self.config.hash,
            "preset": self.config.preset,
            "parameters": dict(self.parameters),
            "code": dict(self._code),
        }
