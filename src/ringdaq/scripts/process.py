"""A run's process, seen from the daemon: start, serve, watch, end.

Two threads for each run. One serves the script's verbs and may be held up by a slow instrument;
the other watches the process and the clock, so that an end is noticed at once whatever the first
one waits for. The watcher also starts the child, because the kernel ties "die with your parent"
to the parent's thread.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from ringdaq.control import Message
from ringdaq.errors import (
    BadRequestError,
    RingdaqError,
    ScriptError,
    ScriptStoppedError,
    from_wire,
    to_wire,
)
from ringdaq.scripts import outcome as ends
from ringdaq.scripts import requests
from ringdaq.scripts.hold import Hold
from ringdaq.scripts.languages import Language
from ringdaq.scripts.limits import Limits
from ringdaq.scripts.outcome import Killing, Outcome
from ringdaq.scripts.page import STOP_ASKED, WALL_LIMIT
from ringdaq.scripts.plan_control import PlanControl
from ringdaq.scripts.requests import Grant, ProtocolError
from ringdaq.scripts.spawn import Spawned, spawn
from ringdaq.scripts.spent import throttled, wall_spent
from ringdaq.scripts.status import Status
from ringdaq.scripts.throttle import Throttle
from ringdaq.scripts.wire import PeerGoneError, Wire

_SLEEP_SLICE_SECS = 0.25
_DRAIN_SECS = 1.0


class ScriptHost(Protocol):
    """What a run may ask of the daemon; called on the run's own thread."""

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> object:
        """Carry out a granted verb; returns a plain value or raises what the script will see."""

    def plan(
        self, name: str, args: list[Any], kwargs: dict[str, Any], control: PlanControl
    ) -> object:
        """Carry a scan out, with instruments by their names; raises what the script will see."""

    def emit(self, values: dict[str, float | int | bool | str]) -> None:
        """Write one row into the run's own stream."""

    def output(self, text: str, level: str, line: int) -> None:
        """Keep what the script printed at a line, or logged at a level."""

    def sleep(self, seconds: float) -> None:
        """Wait; raises `ScriptStoppedError` when a stop was asked for."""


class ScriptProcess:
    """One run of one script in a process of its own."""

    def __init__(
        self,
        source: str,
        *,
        name: str,
        parameters: Mapping[str, Any],
        instruments: Mapping[str, Collection[str]],
        limits: Limits,
        modules: Collection[str],
        host: ScriptHost,
        language: Language = "python",
        entry: Mapping[str, Any] | None = None,
    ) -> None:
        self._host = host
        self._limits = limits
        self._grant: Grant = {k: frozenset(v) for k, v in instruments.items()}
        self._start_message = {
            "event": "start",
            "source": source,
            "language": language,
            "name": name,
            "parameters": dict(parameters),
            "instruments": {k: sorted(v) for k, v in instruments.items()},
            "limits": limits.to_dict(),
            "entry": entry,
            "modules": sorted(modules),
        }
        self._status = Status(source, limits.output_bytes)
        self._child: Spawned | None = None
        self._spawn_error: Exception | None = None
        self._lock = threading.Condition()
        self._hold = Hold()
        self._throttle = Throttle(limits.verbs_per_sec)
        self._stop_asked = False
        self._cause: RingdaqError | None = None
        self._deadline: float | None = None
        self._killing: Killing | None = None
        self._done: dict[str, Any] | None = None
        self._gone = False
        self._calling = False
        self._drained = False
        self._outcome: Outcome | None = None
        self._started = threading.Event()
        self._ended = threading.Event()

    @property
    def pid(self) -> int:
        """The process, or 0 before `start`."""
        return self._child.pid if self._child else 0

    @property
    def current_line(self) -> int:
        """Where the script is; 0 before its first statement."""
        return self._status.line

    @property
    def source_line(self) -> str:
        """The text of the current line."""
        return self._status.source_line

    @property
    def progress_percent(self) -> float | None:
        """0 to 100, never falling; `None` while nobody can know."""
        return self._status.progress_percent

    @property
    def output(self) -> str:
        """The end of what the script printed."""
        return self._status.output

    def start(self) -> None:
        """Start the process; raises `ScriptError` where the system refuses one."""
        try:
            threading.Thread(target=self._watch, name="script-watch", daemon=True).start()
            self._started.wait()
        except RuntimeError as error:
            self._spawn_error = error
        if self._spawn_error is not None:
            raise ScriptError(
                f"the script's process cannot be started: {self._spawn_error}"
            ) from self._spawn_error

    def request_pause(self) -> None:
        """Hold the script at its next verb, or a scan at its next point."""
        self._hold.pause()

    def resume(self) -> None:
        """Let a paused script go on."""
        self._hold.resume()

    @property
    def held_secs(self) -> float:
        """How long it was paused in all, until the last time it was resumed."""
        return self._hold.held_secs

    @property
    def paused(self) -> bool:
        """Whether the script is held now."""
        return self._hold.holds

    @property
    def throttled_secs(self) -> float:
        """How long its verbs were held back in all, because they came too quickly."""
        return self._throttle.waited_secs

    def request_stop(self) -> None:
        """Ask the script to end; it has `stop_secs` to tidy up before it is killed."""
        self._end(STOP_ASKED, None)

    def kill(self) -> None:
        """End the process now."""
        self._kill(ends.forced())

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """The outcome once the process is gone, or `None` after `timeout` seconds."""
        self._ended.wait(timeout)
        return self._outcome

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Whether, within `timeout`, the process is gone and no call of the host is under way."""
        with self._lock:
            return self._lock.wait_for(lambda: self._gone and self._drained, timeout)

    # The watcher's thread.

    def _watch(self) -> None:
        try:
            child = spawn()
        except Exception as error:
            self._spawn_error = error
            return
        else:
            self._child = child
            self._status.join(child.page)
        finally:
            self._started.set()
        self._serve_apart(child)
        self._watch_until_gone(child)
        self._finish(child)

    def _serve_apart(self, child: Spawned) -> None:
        try:
            threading.Thread(target=self._serve, args=(child,), name="script", daemon=True).start()
        except RuntimeError as error:
            self._drained = True
            self._kill(ends.host_failed(error))

    def _watch_until_gone(self, child: Spawned) -> None:
        wall = time.monotonic() + self._limits.wall_secs
        while not child.gone_within(self._secs_to_wait(wall)):
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                self._kill(ends.overdue(self._cause, self.current_line, self._limits.stop_secs))
            elif now >= wall:
                wall = math.inf
                self._end(WALL_LIMIT, wall_spent(self._limits.wall_secs, self.current_line))

    def _secs_to_wait(self, wall: float) -> float:
        with self._lock:
            due = wall if self._deadline is None else min(wall, self._deadline)
            waits = self._killing is None
        return max(0.0, due - time.monotonic()) if waits else math.inf

    def _finish(self, child: Spawned) -> None:
        returncode = child.reap()
        self._let_go()
        with self._lock:
            self._gone = True
            # What the script sent last is still on its way, unless an instrument holds us up.
            self._lock.wait_for(lambda: self._drained or self._calling, _DRAIN_SECS)
            self._outcome = ends.outcome_of(
                self._done,
                self._killing,
                returncode=returncode,
                line=self.current_line,
                last_line=self._status.last_line,
                stderr=child.stderr(),
            )
            self._lock.notify_all()
            child.wire.hang_up()
            child.close()
            self._status.part()
        self._ended.set()

    # Any thread.

    def _end(self, reason: int, cause: RingdaqError | None) -> None:
        """Tell the script to end, because of `cause` or because somebody asked."""
        with self._lock:
            if self._stop_asked or self._gone:
                return
            self._stop_asked, self._cause = True, self._cause or cause
            self._status.ask_to_end(reason)
            self._begin_deadline()

    def _let_go(self) -> None:
        self._hold.release()
        self._throttle.release()

    def _begin_deadline(self) -> None:
        self._let_go()
        if self._deadline is None:
            self._deadline = time.monotonic() + self._limits.stop_secs
        if self._child is not None and not self._gone:
            self._child.wake()

    def _kill(self, killing: Killing) -> None:
        with self._lock:
            if self._gone or self._child is None:
                return
            self._killing = self._killing or killing
            self._child.kill()
            self._child.wake()
        self._let_go()

    # The serving thread.

    def _serve(self, child: Spawned) -> None:
        try:
            child.wire.send(self._start_message)
            while (message := child.wire.receive()) is not None:
                self._take(child.wire, message)
        except PeerGoneError:
            pass  # which the watcher sees too
        except (BadRequestError, ProtocolError) as error:
            self._kill(ends.broken(error, self.current_line))
        except Exception as error:
            self._kill(ends.host_failed(error))
        finally:
            with self._lock:
                self._drained, self._calling = True, False
                child.wire.close()
                self._lock.notify_all()

    def _take(self, wire: Wire, message: Message) -> None:
        event = message.get("event")
        if "method" in message:
            self._answer(wire, message)
        elif event == "output":
            self._host.output(*self._status.print(message))
        elif event == "done":
            self._done = message
        elif event == "limit":
            self._begin_tidying(message.get("error"))
        else:
            raise ProtocolError(f"unknown event {event!r}")

    def _begin_tidying(self, error: object) -> None:
        """The script has used up a budget by itself."""
        with self._lock:
            if not self._stop_asked and isinstance(error, dict):
                self._cause = from_wire(error)
            self._begin_deadline()

    def _answer(self, wire: Wire, message: Message) -> None:
        closing = message.get("closing") is True
        if not closing:
            self._hold.wait()
            if self._throttle.wait():
                self._host.output(*self._status.note(throttled(self._limits.verbs_per_sec)))
        with self._lock:
            if self._gone:
                return
            refused = self._stop_asked and not closing
            self._calling = not refused
        reply = {} if refused else self._outcome_of_call(message)
        with self._lock:
            self._calling = False
        number = message.get("id")
        try:
            wire.send({"id": number, **reply})
        except (TypeError, ValueError, OverflowError) as error:
            unsendable = ScriptError(f"the answer cannot be sent to a script: {error}")
            wire.send({"id": number, "error": to_wire(unsendable)})

    def _outcome_of_call(self, message: Message) -> dict[str, Any]:
        try:
            return {"result": self._carry_out(message)}
        except ProtocolError:
            raise
        except ScriptStoppedError as error:
            if message.get("closing") is True:
                return {"error": to_wire(error)}  # in tidying up, an error like any other
            self._end(STOP_ASKED, None)
            return {}
        except Exception as error:
            return {"error": to_wire(error)}

    def _carry_out(self, message: Message) -> object:
        params = requests.params_of(message)
        match message["method"]:
            case "verb":
                return self._host.call(*requests.verb_request(params, self._grant))
            case "plan":
                return self._plan(params, message.get("closing") is True)
            case "emit":
                self._host.emit(requests.emit_request(params))
            case "sleep":
                self._sleep(requests.sleep_request(params), message.get("closing") is True)
            case method:
                raise ProtocolError(f"unknown method {method!r}")
        return None

    def _plan(self, params: list[Any], closing: bool) -> object:
        name, args, kwargs, region = requests.plan_request(params)
        control = PlanControl(
            hold=self._hold,
            must_end=lambda: self._ends(closing),
            raise_progress=self._status.raise_progress,
            wait=lambda seconds: self._sleep(seconds, closing),
            region=region,
            closing=closing,
        )
        return self._host.plan(name, args, kwargs, control)

    def _ends(self, closing: bool) -> bool:
        """Whether a long call must end, unless it tidies up."""
        return self._gone or self._killing is not None or (self._stop_asked and not closing)

    def _sleep(self, seconds: float, closing: bool) -> None:
        """In slices, so that a killed script's thread does not sleep on."""
        left = seconds
        while left > 0 and not self._gone:
            piece = min(left, _SLEEP_SLICE_SECS)
            if not closing:
                self._hold.wait()
            if self._stop_asked and not closing:
                raise ScriptStoppedError("the run was stopped while it slept")
            self._sleep_piece(piece, closing)
            left -= piece

    def _sleep_piece(self, seconds: float, closing: bool) -> None:
        if self._stop_asked:
            self._ended.wait(seconds)  # the host would refuse, but the script may tidy up
            return
        try:
            self._host.sleep(seconds)
        except ScriptStoppedError:
            if not closing:
                raise
            self._ended.wait(seconds)
