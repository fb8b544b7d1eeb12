"""An instrument as the daemon holds it: limits, deadlines, one owner, and its streams."""

from __future__ import annotations

import inspect
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from ringdaq.daemon.audit import Audit
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.safety import LIMITED, UNITS, check_limit, check_number
from ringdaq.daemon.workers import Worker
from ringdaq.errors import (
    InstrumentBusyError,
    InstrumentError,
    InstrumentFaultError,
    InstrumentTimeoutError,
    MissingCapabilityError,
    NotConnectedError,
    RingdaqError,
)
from ringdaq.instruments import Entry
from ringdaq.model import Channel, StreamSpec

log = logging.getLogger(__name__)

# On top of a driver's own timeout, before it counts as hung.
GRACE_SECS = 5.0
MOTION_SECS = 120.0
# Verbs that only ask: they are carried out for everybody and are not worth an audit entry.
ASKING = frozenset({
    "position", "read", "is_armed", "resolution", "settings", "wait_settled", "get_exposure",
    "get_wavelength", "wavelength_range", "is_shutter_open", "is_emission_enabled",
})  # fmt: skip
# Since when the command that a thread works on is wanted, in monotonic seconds.
WANTED_SINCE: ContextVar[float] = ContextVar("wanted_since")
# Verbs that end something: they are carried out for everybody, and overtake what is waiting.
CALMING = frozenset({"stop", "make_safe"})


def scalar_streams(entry: Entry) -> list[StreamSpec]:
    """The streams that the daemon itself fills with what an instrument answers."""
    found = []
    both = {"Movable", "Readable"} <= set(entry.capabilities)
    for capability, channel in (("Movable", "position"), ("Readable", "value")):
        if capability in entry.capabilities:
            found.append(
                StreamSpec(
                    name=f"{entry.name}.{channel}" if both else entry.name,
                    kind="rows",
                    channels=(Channel(channel, "float64", unit=entry.unit),),
                    instrument=entry.name,
                    simulated=entry.simulated,
                )
            )
    return found


class InstrumentHost:
    """Carries out verbs on one instrument, for whoever may."""

    def __init__(self, entry: Entry, link: Worker, publisher: Publisher, audit: Audit) -> None:
        self.entry = entry
        self.name = entry.name
        self._link = link
        # Waiting for rest must not keep the link from its other instruments.
        self._motion = Worker(f"{entry.name}-motion") if "Movable" in entry.capabilities else link
        self._publisher = publisher
        self._audit = audit
        self._owner: str | None = None
        self._owner_lock = threading.Lock()
        self._calmed_at = -math.inf
        self._last: dict[str, Any] = {}
        self._streams = {s.channels[0].name: s.name for s in scalar_streams(entry)}

    # --- owners

    @property
    def owner(self) -> str | None:
        """Who holds the instrument now, if anybody does."""
        return self._owner

    def take(self, owner: str) -> None:
        """Give the instrument to one owner."""
        with self._owner_lock:
            if self._owner not in (None, owner):
                raise InstrumentBusyError(
                    f"{self.name} can have one owner; {self._owner} holds it: wait until it ends "
                    "or stop it",
                    instrument=self.name,
                )
            self._owner = owner

    def release(self, owner: str) -> None:
        """Take the instrument back from its owner."""
        with self._owner_lock:
            if self._owner == owner:
                self._owner = None

    # --- verbs

    def call(
        self,
        verb: str,
        args: list[Any],
        kwargs: Mapping[str, Any],
        *,
        who: str,
        arrived: float | None = None,
    ) -> Any:
        """Carry out a verb for `who` and return what the instrument answers.

        `arrived` is when the command came in (monotonic seconds; `None` is now): one that came
        before a stop and had to wait is refused, not carried out after it.
        Raises an `InstrumentError`: the verb is unknown, a value is beyond limits, somebody else
        holds the instrument, it does not answer in time, or it says no.
        """
        self._check_verb(verb)
        if verb in ASKING:
            return self.perform(verb, args, kwargs)
        if verb not in CALMING:
            self._check_owner(who)
            WANTED_SINCE.set(time.monotonic() if arrived is None else arrived)
        return self._audited(verb, args, kwargs, who)

    def _check_verb(self, verb: str) -> None:
        if self.entry.instrument is None:
            raise NotConnectedError(
                f"{self.name} is not connected: {self.entry.error}", instrument=self.name
            )
        if verb not in self.entry.verbs:
            raise MissingCapabilityError(
                f"{self.name} cannot {verb!r}; it can: {', '.join(sorted(self.entry.verbs))}",
                instrument=self.name,
            )

    def _check_owner(self, who: str) -> None:
        owner = self._owner
        if owner is not None and owner != who:
            raise InstrumentBusyError(
                f"{self.name} belongs to {owner} now; reading it is free, commanding it is not: "
                "wait until the run ends or stop it",
                instrument=self.name,
            )

    def _check_still_wanted(self, verb: str, arrived: float) -> None:
        if arrived <= self._calmed_at:
            raise InstrumentBusyError(
                f"{self.name} was stopped after {verb!r} was asked for; it is not carried out: "
                "ask again if it is still wanted",
                instrument=self.name,
            )

    def _audited(self, verb: str, args: list[Any], kwargs: Mapping[str, Any], who: str) -> Any:
        target, old = f"{self.name}.{verb}", self._last.get(LIMITED.get(verb, verb))
        asked = [*args, *kwargs.values()]
        try:
            result = self.perform(verb, args, kwargs)
        except RingdaqError as error:
            self._audit.note(who, "call", target, old=old, new=asked, outcome=str(error))
            raise
        self._audit.note(who, "call", target, old=old, new=result if result is not None else asked)
        return result

    def perform(self, verb: str, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out a verb it has, within limits, whoever asks and without an audit entry."""
        special = _SPECIAL.get(verb)
        if special is not None:
            return special(self, *args, **kwargs)
        return self._plain(verb, *args, **kwargs)

    def _plain(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """A verb that is one call on the link's thread; a limited quantity is checked first."""
        method = getattr(self.entry.instrument, verb)
        quantity = LIMITED.get(verb)
        if verb in ASKING:
            return self._on_link(lambda: method(*args, **kwargs), what=verb)
        if quantity is None:
            return self._command(lambda: method(*args, **kwargs), what=verb)
        value = self._within_limits(quantity, self._only_argument(method, verb, args, kwargs))
        result = self._command(lambda: method(value), what=verb)
        self._last[quantity] = value
        return result

    def _only_argument(self, method: Any, verb: str, args: Any, kwargs: Any) -> Any:
        """The quantity that a verb sets, given by place or by name."""
        try:
            (value,) = inspect.signature(method).bind(*args, **kwargs).arguments.values()
        except (TypeError, ValueError) as error:
            raise InstrumentError(
                f"{self.name}.{verb} takes {inspect.signature(method)}: {error}",
                instrument=self.name,
            ) from None
        return value

    def _within_limits(self, quantity: str, value: Any) -> float:
        number = check_number(value, instrument=self.name, what=quantity)
        return check_limit(
            number,
            self.entry.limits,
            instrument=self.name,
            quantity=quantity,
            unit=UNITS.get(quantity, self.entry.unit),
        )

    def _command(self, function: Any, *, what: str, since: float | None = None) -> Any:
        """One call that changes something, unless the instrument was stopped since it was asked.

        A stop does not wait for the link, so it may also come while the call is under way; what
        the call did is then undone at once.
        """
        asked = WANTED_SINCE.get(time.monotonic()) if since is None else since

        def commanded() -> Any:
            self._check_still_wanted(what, asked)
            result = function()
            if asked <= self._calmed_at:
                self._movable.make_safe()
                self._check_still_wanted(what, asked)
            return result

        return self._on_link(commanded, what=what)

    def _on_link(self, function: Any, *, what: str) -> Any:
        return self._guard(self._link, function, what, self.entry.config.deadline_secs)

    def _guard(self, worker: Worker, function: Any, what: str, deadline_secs: float) -> Any:
        try:
            return worker.call(function, deadline_secs=deadline_secs, what=f"{self.name}.{what}")
        except InstrumentError as error:
            error.instrument = self.name
            raise
        except RingdaqError:
            raise
        except (TypeError, ValueError) as error:
            raise InstrumentError(
                f"{self.name}.{what} cannot take these arguments: {error}", instrument=self.name
            ) from error
        except TimeoutError as error:
            raise InstrumentTimeoutError(
                f"{self.name}.{what}: {error}", instrument=self.name
            ) from error
        except Exception as error:
            log.exception("%s.%s failed in its driver", self.name, what)
            raise InstrumentFaultError(
                f"{self.name}.{what} failed in its driver: {type(error).__name__}: {error}",
                instrument=self.name,
            ) from error

    # --- motion and reading, with what they leave in the streams

    def _move_abs(self, position: Any, timeout: float = MOTION_SECS) -> float:
        target = self._within_limits("position", position)
        return self._move(lambda: self._movable.move_abs(target), timeout)

    def _move_rel(self, distance: Any, timeout: float = MOTION_SECS) -> float:
        step = check_number(distance, instrument=self.name, what="distance")
        here = self._on_link(self._movable.position, what="position")
        self._within_limits("position", here + step)
        return self._move(lambda: self._movable.move_rel(step), timeout)

    def _move(self, start: Any, timeout: float) -> float:
        """Start a motion, wait for rest, and return the position as read back."""
        limit = check_number(timeout, instrument=self.name, what="timeout")
        self._command(start, what="move")
        self._wait_settled(limit)
        return self._position()

    def _wait_settled(self, timeout: float = MOTION_SECS) -> None:
        limit = check_number(timeout, instrument=self.name, what="timeout")
        settle = self._movable.wait_settled
        self._guard(self._motion, lambda: settle(limit), "wait_settled", limit + GRACE_SECS)

    def _position(self) -> float:
        position = float(self._on_link(self._movable.position, what="position"))
        self._publish("position", position)
        return position

    def _read(self) -> Any:
        value = self._on_link(self._movable.read, what="read")
        self._publish("value", float(value))
        return value

    # --- the steps of a scan

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of what the daemon itself reads from it."""
        return tuple(self._streams.values())

    def check_target(self, position: Any) -> float:
        """The position, if it is within limits; nothing moves."""
        return self._within_limits("position", position)

    def begin_move(self, target: float, *, asked: float) -> None:
        """Start towards a checked target, unless somebody has stopped the instrument since."""
        move = self._movable.move_abs
        self._command(lambda: move(target), what="move", since=asked)

    def settle(self) -> float:
        """Wait for rest and return the position as read back."""
        self._wait_settled()
        return self._position()

    def stop(self) -> None:
        """End its motion now, and what waits to move it."""
        self._calmed_at = time.monotonic()
        if "Movable" in self.entry.capabilities:
            self._movable.stop()

    def make_safe(self) -> None:
        """Bring it to its safe state now, and refuse what waits to command it."""
        self._calmed_at = time.monotonic()
        if self.entry.instrument is not None:
            self._movable.make_safe()

    def rest(self, deadline_secs: float) -> None:
        """Return once it is at rest; raises `InstrumentTimeoutError` when it is not in time."""
        if self.entry.instrument is not None and "Movable" in self.entry.capabilities:
            self._movable.wait_settled(deadline_secs)

    def _publish(self, channel: str, value: float) -> None:
        self._last[channel] = value
        stream = self._streams.get(channel)
        if stream is not None:
            self._publisher.put_row(stream, value)

    @property
    def _movable(self) -> Any:
        return self.entry.instrument

    # --- the rest of its life

    def poll(self) -> None:
        """Take one reading of everything the instrument can tell."""
        for verb in ("position", "read"):
            if verb in self.entry.verbs:
                self.perform(verb, [], {})

    def prepare(self) -> None:
        """Get ready for a run: stage what can be staged."""
        if "Stageable" in self.entry.capabilities:
            self._on_link(self._movable.stage, what="stage")

    def put_back(self) -> None:
        """Put back what `prepare` did."""
        if "Stageable" in self.entry.capabilities:
            self._on_link(self._movable.unstage, what="unstage")

    def settings(self) -> dict[str, Any]:
        """The instrument's slow settings, each `{"value", "unit"}`; empty where it has none."""
        if "Configurable" not in self.entry.capabilities or self.entry.instrument is None:
            return {}
        settings: dict[str, Any] = self._on_link(self._movable.settings, what="settings")
        return settings

    def describe(self) -> dict[str, Any]:
        """The instrument as plain values."""
        entry = self.entry
        return {
            "name": entry.name,
            "driver": entry.driver,
            "connected": entry.instrument is not None,
            "simulated": entry.simulated,
            "capabilities": list(entry.capabilities),
            "verbs": sorted(entry.verbs),
            "unit": entry.unit,
            "limits": {k: list(v) for k, v in entry.limits.items()},
            "error": entry.error or "",
            "busy_with": self._owner or "",
        }

    def close(self) -> None:
        """End the instrument's own threads."""
        if self._motion is not self._link:
            self._motion.close()


_SPECIAL: dict[str, Callable[..., Any]] = {
    "move_abs": InstrumentHost._move_abs,
    "move_rel": InstrumentHost._move_rel,
    "wait_settled": InstrumentHost._wait_settled,
    "position": InstrumentHost._position,
    "read": InstrumentHost._read,
    "stop": InstrumentHost.stop,
    "make_safe": InstrumentHost.make_safe,
}
