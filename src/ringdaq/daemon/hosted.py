"""One pipeline as the daemon sees it: its process, its rings, and what it is asked."""

from __future__ import annotations

import itertools
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from ringdaq.clock import now_nanos
from ringdaq.daemon.pipeline_rings import PipelineRings
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.supervisor import Child
from ringdaq.errors import (
    BadRequestError,
    PipelineBusyError,
    PipelineStoppedError,
    ServiceError,
    from_wire,
    to_wire,
)

log = logging.getLogger(__name__)

ASK_SECS = 10.0
SET_SECS = 15.0
"""More than a process takes to change parameters, and to put them back."""
STOP_SECS = 10.0
SILENT_SECS = 10.0
ATTACH_SECS = 120.0
"""A process imports before it says anything, which takes long on a small, busy machine."""
LEAVE_SECS = 60.0
"""Who has hung up has nothing left to do but to end."""
ENDINGS = {0: "ended", 2: "failed", 4: "failed", 5: "failed"}
"""What the exit codes mean after which a pipeline's process is not started again."""

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
        results: Collection[str],
        spawn: Callable[[str], subprocess.Popen[bytes]],
        publisher: Publisher,
        desk: RecordingDesk,
    ) -> None:
        """`inline` says that the text is a rig file's, in which the pipeline is one of several.

        `spawn` starts a process that runs the pipeline of a name.
        """
        self.config, self.inline = config, inline
        self.results = results
        """The streams that its text makes."""
        self.name = config.name
        self.state = "stopped"
        self.error = ""
        """What went wrong last; empty while all is well."""
        self.at_work = False
        """Whether it runs, or will again: only its process's end, or `stop`, says that it does not.
        """
        self.parameters: dict[str, Any] = {}
        """What was changed while it ran, `stage.parameter`; holds after a restart too."""
        self.hold = False
        """Whether it waits for `resume` before it begins."""
        self._code: dict[str, str] = {}
        self.figures: dict[str, Any] = {}
        """What it counted, when it was last heard of."""
        self._spawn, self._rings = spawn, PipelineRings(config.name, publisher, desk)
        # Held from the first step of a start or a stop to its last.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        # Changes are noted in the order in which they are made.
        self._changing = threading.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._send: Send | None = None
        self._said = ""
        """The state that its process told last."""
        self._heard, self._patience = 0.0, ATTACH_SECS
        self._child: Child | None = None
        self._changed_nanos = now_nanos()

    # --- its process

    @property
    def is_busy(self) -> bool:
        """Whether it is at work, or is being started or stopped by somebody."""
        return self.at_work or self._turn.locked()

    def start(self, parameters: Mapping[str, Any], *, hold: bool = False) -> None:
        """Start its process; it is started again until it ends by itself or is stopped.

        With `hold` it makes its rings, and begins when it is told to `resume`. Raises
        `PipelineBusyError` if it is at work.
        """
        if not self._turn.acquire(blocking=False):
            raise PipelineBusyError(
                f"pipeline {self.name!r} is just being started or stopped; try again",
                pipeline=self.name,
            )
        try:
            self._start(parameters, hold=hold)
        finally:
            self._turn.release()

    def _start(self, parameters: Mapping[str, Any], *, hold: bool) -> None:
        with self._lock:
            if self.at_work:
                raise PipelineBusyError(
                    f"pipeline {self.name!r} runs already; it is {self.state}", pipeline=self.name
                )
            self.at_work = True
            self.parameters, self.hold, self.figures = dict(parameters), hold, {}
            self._enter("starting", "")
        self._rings.begin()
        child = self._child = Child(
            f"pipeline {self.name}", (), final=ENDINGS, on_end=self._has_ended, spawn=self._begin
        )
        try:
            child.start()
        except OSError as error:
            self._leave("failed", f"no process can be started: {error}")
            raise ServiceError(
                f"no process can be started for pipeline {self.name!r}: {error}"
            ) from error

    def _begin(self) -> subprocess.Popen[bytes]:
        """A process, which reads its stages' files anew each time."""
        self._code = self.config.code()
        with self._lock:
            self._heard, self._patience = time.monotonic(), ATTACH_SECS
            if self._child is not None and self._child.restarts:
                self._enter_if_at_work("restarting", self.error or "its process has died")
        return self._spawn(self.name)

    def stop(self) -> None:
        """End its process: what is on its way is finished, for a few seconds at most."""
        with self._turn:
            with self._lock:
                self.at_work = False
                self._enter("stopped", self.error)
            if self._child is not None:
                self._child.stop(STOP_SECS)
            self._rings.end()

    def _has_ended(self, word: str) -> None:
        """Its process has come to its end, and no other one follows."""
        if self.at_work:
            self._leave(word, self.error)

    def _leave(self, state: str, error: str) -> None:
        self._rings.end()
        with self._lock:
            self._enter_if_at_work(state, error)
            self.at_work = False

    def _enter(self, state: str, error: str) -> None:
        self.state, self.error, self._changed_nanos = state, error, now_nanos()

    def _enter_if_at_work(self, state: str, error: str) -> None:
        if self.at_work:
            self._enter(state, error)

    # --- what its process says

    def attach(self, send: Send) -> None:
        """Its process has come."""
        with self._lock:
            if not self.at_work:
                raise self._not_running()
            self._send, self._said = send, ""
            self._heard, self._patience = time.monotonic(), SILENT_SECS

    def detach(self, send: Send) -> None:
        """Its process is gone: nobody will answer."""
        with self._lock:
            if self._send != send:
                return
            self._send, self._heard, self._patience = None, time.monotonic(), LEAVE_SECS
            asked, self._asked = list(self._asked.values()), {}
            if self._said not in ("restarting", *ENDINGS.values()):
                self._enter_if_at_work("restarting", self.error or "its process has died")
        for box in asked:
            box.put({"error": to_wire(self._not_running())})

    def report(
        self,
        send: Send,
        state: str,
        error: str,
        rings: list[dict[str, Any]],
        figures: dict[str, Any],
    ) -> None:
        """Its process tells how it is, what it has counted, and which rings it has made."""
        self._check_sender(send)
        # Before the state says so: who sees that it is ready sees its streams.
        for ring in rings:
            self._rings.take(Path(ring["path"]), ring["generation"])
        with self._lock:
            self._check_sender(send)
            self._heard, self._said = time.monotonic(), state
            if error and error != self.error:
                log.error("pipeline %s: %s", self.name, error)
            self.figures = figures or self.figures
            # An end is one when the process has ended: until then it may not be started anew.
            shown = self.state if state in ENDINGS.values() else state
            self._enter_if_at_work(shown, error or self._lasting_error(state))

    def _check_sender(self, send: Send) -> None:
        if self._send != send:
            raise BadRequestError(f"only the process of pipeline {self.name!r} may report")

    def _lasting_error(self, state: str) -> str:
        """What went wrong before is still so until it runs again."""
        return self.error if state in ("starting", "ready", "restarting") else ""

    def look_after(self) -> None:
        """Kill a process that is there and says nothing any more; it is started again."""
        child, patience = self._child, self._patience
        silent = self.at_work and time.monotonic() - self._heard > patience
        if silent and child is not None and child.pid is not None:
            log.error("pipeline %s was silent for %g s and is killed", self.name, patience)
            child.kill()

    @property
    def streams(self) -> list[str]:
        """The streams that it has made."""
        return self._rings.streams

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
