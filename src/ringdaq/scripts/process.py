"""A run's process, seen from the daemon: start, serve, watch, end.

Two threads for each run. One serves the script's verbs, carries them out itself where it may, and
can be held up by a slow instrument. The other watches the process and the clock, so that an end is
noticed at once whatever the first one waits for, and relieves one that hangs in a call. The watcher
also starts the child, because the kernel ties "die with your parent" to the parent's thread.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
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
from ringdaq.scripts.errands import ASKED_AT, Errands, Life, ScriptHost
from ringdaq.scripts.hold import Hold
from ringdaq.scripts.languages import Language
from ringdaq.scripts.limits import Limits
from ringdaq.scripts.outcome import Killing, Outcome
from ringdaq.scripts.page import STOP_ASKED, WALL_LIMIT
from ringdaq.scripts.requests import ProtocolError
from ringdaq.scripts.spawn import Spawned, spawn
from ringdaq.scripts.spent import throttled, wall_spent
from ringdaq.scripts.status import Status
from ringdaq.scripts.throttle import Throttle
from ringdaq.scripts.wire import PeerGoneError, Wire

_DRAIN_SECS = 1.0
# How often a call that is under way is looked at.
_LOOK_SECS = 0.1


class Calls(Protocol):
    """Calls that the serving thread itself carries out, for whoever watches over it."""

    def here(self) -> AbstractContextManager[object]:
        """Within it, the calling thread carries its calls out itself."""

    def overdue(self) -> RingdaqError | None:
        """What to tell of a call that has outlived its deadline and is given up now, if one is."""


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
        calls: Calls | None = None,
        spawner: Callable[[], Spawned] | None = None,
    ) -> None:
        """`spawner` makes the bare process, and must be called anew for each; see `spawn`."""
        self._host, self._calls, self._spawner = host, calls, spawner or spawn
        self._limits = limits
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
        self._child: Spawned | None = None
        self._spawn_error: Exception | None = None
        self._mutex = threading.Lock()
        self._lock = threading.Condition(self._mutex)
        self._status = Status(source, limits.output_bytes)
        self._hold = Hold()
        self._throttle = Throttle(limits.verbs_per_sec)
        self._life = Life()
        grant = {k: frozenset(v) for k, v in instruments.items()}
        self._errands = Errands(host, grant, self._hold, self._life, self._status)
        self._cause: RingdaqError | None = None
        self._deadline: float | None = None
        self._killing: Killing | None = None
        self._done: dict[str, Any] | None = None
        self._calling: Message | None = None
        self._shift = 0
        self._drained = False
        self._outcome: Outcome | None = None
        self._started = threading.Event()

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
        """End the process now, or as soon as it is there."""
        self._kill(ends.forced())

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """The outcome once the process is gone, or `None` after `timeout` seconds."""
        self._life.ended.wait(timeout)
        return self._outcome

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Whether, within `timeout`, the process is gone and no call of the host is under way."""
        with self._lock:
            return self._lock.wait_for(lambda: self._life.gone and self._drained, timeout)

    # The watcher's thread.

    def _watch(self) -> None:
        try:
            child = self._spawner()
        except Exception as error:
            self._spawn_error = error
            return
        else:
            with self._lock:
                self._child = child
                if self._life.killed:
                    child.kill()
            self._status.join(child.page)
        finally:
            self._started.set()
        self._serve_apart(child, 0, self._start_message)
        self._watch_until_gone(child)
        self._finish(child)

    def _serve_apart(self, child: Spawned, shift: int, first: Message) -> None:
        try:
            serving = threading.Thread(
                target=self._serve, args=(child, shift, first), name="script", daemon=True
            )
            serving.start()
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
            self._relieve(child)

    def _relieve(self, child: Spawned) -> None:
        """Let another thread serve the script in place of one that hangs in a call."""
        overdue = self._calls.overdue() if self._calls is not None else None
        if overdue is None:
            return
        with self._mutex:
            asked, self._calling = self._calling, None
            if asked is None:
                return  # it came back at the last moment
            self._shift += 1
        reply = {} if self._refuses(asked) else {"error": to_wire(overdue)}
        self._serve_apart(child, self._shift, {"id": asked.get("id"), **reply})

    def _refuses(self, message: Message) -> bool:
        """Whether a request is not carried out: only who tidies up may ask after a stop."""
        return self._life.stop_asked and message.get("closing") is not True

    def _secs_to_wait(self, wall: float) -> float:
        with self._lock:
            due = wall if self._deadline is None else min(wall, self._deadline)
            waits = self._killing is None
        if not waits:
            return math.inf
        look = math.inf if self._calls is None else _LOOK_SECS
        return min(max(0.0, due - time.monotonic()), look)

    def _finish(self, child: Spawned) -> None:
        returncode = child.reap()
        self._let_go()
        with self._lock:
            self._life.gone = True
            # What the script sent last is still on its way, unless an instrument holds us up.
            self._lock.wait_for(lambda: self._drained or self._calling is not None, _DRAIN_SECS)
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
        self._life.ended.set()

    # Any thread.

    def _end(self, reason: int, cause: RingdaqError | None) -> None:
        """Tell the script to end, because of `cause` or because somebody asked."""
        with self._lock:
            if self._life.stop_asked or self._life.gone:
                return
            self._life.stop_asked, self._cause = True, self._cause or cause
            self._status.ask_to_end(reason)
            self._begin_deadline()

    def _let_go(self) -> None:
        self._hold.release()
        self._throttle.release()

    def _begin_deadline(self) -> None:
        self._let_go()
        if self._deadline is None:
            self._deadline = time.monotonic() + self._limits.stop_secs
        if self._child is not None and not self._life.gone:
            self._child.wake()

    def _kill(self, killing: Killing) -> None:
        with self._lock:
            if self._life.gone:
                return
            self._killing, self._life.killed = self._killing or killing, True
            if self._child is not None:
                self._child.kill()
                self._child.wake()
        self._let_go()

    # The serving thread.

    def _serve(self, child: Spawned, shift: int, first: Message) -> None:
        try:
            child.wire.send(first)
            with self._calls.here() if self._calls is not None else nullcontext():
                while self._shift == shift and (message := child.wire.receive()) is not None:
                    self._take(child.wire, message, shift)
        except PeerGoneError:
            pass  # which the watcher sees too
        except (BadRequestError, ProtocolError) as error:
            self._kill(ends.broken(error, self.current_line))
        except Exception as error:
            self._kill(ends.host_failed(error))
        finally:
            self._end_shift(child, shift)

    def _end_shift(self, child: Spawned, shift: int) -> None:
        with self._lock:
            if self._shift == shift:
                self._drained, self._calling = True, None
                child.wire.close()
                self._lock.notify_all()

    def _take(self, wire: Wire, message: Message, shift: int) -> None:
        if "method" in message:
            self._answer(wire, message, shift)
            return
        event = message.get("event")
        if event == "output":
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
            if not self._life.stop_asked and isinstance(error, dict):
                self._cause = from_wire(error)
            self._begin_deadline()

    def _answer(self, wire: Wire, message: Message, shift: int) -> None:
        closing = message.get("closing") is True
        if not closing:
            self._hold.wait()
        if self._throttle.wait():  # which holds up nobody once the run is to end
            self._host.output(*self._status.note(throttled(self._limits.verbs_per_sec)))
        with self._mutex:
            if self._life.gone or self._life.killed:
                return
            ASKED_AT.set(time.monotonic())
            refused = self._life.stop_asked and not closing
            self._calling = None if refused else message
        reply = {} if refused else self._outcome_of_call(message, closing)
        with self._mutex:
            if self._shift != shift:
                return  # another thread has answered in this one's place
            self._calling = None
        reply["id"] = number = message.get("id")
        try:
            wire.send(reply)
        except (TypeError, ValueError, OverflowError) as error:
            unsendable = ScriptError(f"the answer cannot be sent to a script: {error}")
            wire.send({"id": number, "error": to_wire(unsendable)})

    def _outcome_of_call(self, message: Message, closing: bool) -> dict[str, Any]:
        try:
            return {"result": self._errands.carry_out(message, closing)}
        except ProtocolError:
            raise
        except ScriptStoppedError as error:
            if closing:
                return {"error": to_wire(error)}  # in tidying up, an error like any other
            self._end(STOP_ASKED, None)
            return {}
        except Exception as error:
            return {"error": to_wire(error)}
