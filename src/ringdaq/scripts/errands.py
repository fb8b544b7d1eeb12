"""What a script may ask of the daemon, carried out on the run's own thread."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ringdaq.control import Message
from ringdaq.errors import ScriptStoppedError
from ringdaq.scripts import requests
from ringdaq.scripts.hold import Hold
from ringdaq.scripts.plan_control import PlanControl
from ringdaq.scripts.requests import Grant, ProtocolError
from ringdaq.scripts.status import Status

_SLEEP_SLICE_SECS = 0.25


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


# Since when the request that a thread carries out is wanted, in monotonic seconds: taken before it
# was last looked whether the run is to stop, so that whoever stops its instruments after that look
# can tell that this request came before.
ASKED_AT: ContextVar[float] = ContextVar("asked_at")


@dataclass
class Life:
    """How far a run's process is on its way to its end."""

    stop_asked: bool = False
    killed: bool = False
    gone: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def ends(self, closing: bool) -> bool:
        """Whether a long call must end, unless it tidies up."""
        return self.gone or self.killed or (self.stop_asked and not closing)


class Errands:
    """Checks each request, and carries it out."""

    def __init__(
        self, host: ScriptHost, grant: Grant, hold: Hold, life: Life, status: Status
    ) -> None:
        self._host, self._grant = host, grant
        self._hold, self._life, self._status = hold, life, status

    def carry_out(self, message: Message, closing: bool) -> object:
        """The answer to a request; raises what the script will see, or `ProtocolError`."""
        params, method = requests.params_of(message), message["method"]
        if method == "verb":
            return self._host.call(*requests.verb_request(params, self._grant))
        if method == "plan":
            return self._plan(params, closing)
        if method == "emit":
            self._host.emit(requests.emit_request(params))
        elif method == "sleep":
            self._sleep(requests.sleep_request(params), closing)
        else:
            raise ProtocolError(f"unknown method {method!r}")
        return None

    def _plan(self, params: list[Any], closing: bool) -> object:
        name, args, kwargs, region = requests.plan_request(params)
        control = PlanControl(
            hold=self._hold,
            must_end=partial(self._life.ends, closing),
            raise_progress=self._status.raise_progress,
            wait=lambda seconds: self._sleep(seconds, closing),
            region=region,
            closing=closing,
        )
        return self._host.plan(name, args, kwargs, control)

    def _sleep(self, seconds: float, closing: bool) -> None:
        """In slices, so that a killed script's thread does not sleep on."""
        left = seconds
        while left > 0 and not self._life.gone:
            piece = min(left, _SLEEP_SLICE_SECS)
            if not closing:
                self._hold.wait()
            if self._life.stop_asked and not closing:
                raise ScriptStoppedError("the run was stopped while it slept")
            self._sleep_piece(piece, closing)
            left -= piece
        if self._life.gone:
            raise ScriptStoppedError("the script's process has ended")

    def _sleep_piece(self, seconds: float, closing: bool) -> None:
        if self._life.stop_asked:
            self._life.ended.wait(seconds)  # the host would refuse, but the script may tidy up
            return
        try:
            self._host.sleep(seconds)
        except ScriptStoppedError:
            if not closing:
                raise
            self._life.ended.wait(seconds)
