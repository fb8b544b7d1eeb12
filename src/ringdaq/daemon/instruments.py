"""An instrument as the daemon holds it: limits, deadlines, one owner, and its streams."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from ringdaq.daemon.audit import Audit
from ringdaq.daemon.line import Line
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.safety import LIMITED, UNITS, check_limit, check_number
from ringdaq.daemon.ticket import TICKET
from ringdaq.daemon.workers import Worker
from ringdaq.errors import (
    InstrumentBusyError,
    InstrumentError,
    InstrumentFaultError,
    LimitError,
    MissingCapabilityError,
    NotConnectedError,
    RingdaqError,
)
from ringdaq.instruments import Entry
from ringdaq.model import Channel, StreamSpec

log = logging.getLogger(__name__)

MOTION_SECS = 120.0
MAX_MOTION_SECS = 7 * 86_400.0
_SHORTEST_SECS = 0.001
# Verbs that only ask: they are carried out for everybody and are not worth an audit entry.
ASKING = frozenset({
    "position", "read", "is_armed", "resolution", "settings", "wait_settled", "get_exposure",
    "get_wavelength", "wavelength_range", "is_shutter_open", "is_emission_enabled",
})  # fmt: skip
# The verbs whose answers the daemon writes into streams, and the channels there.
READ_INTO = {"position": "position", "read": "value"}
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


def _wanted_since() -> float:
    return WANTED_SINCE.get(None) or time.monotonic()


class InstrumentHost:
    """Carries out verbs on one instrument, for whoever may."""

    def __init__(self, entry: Entry, link: Worker, publisher: Publisher, audit: Audit) -> None:
        self.entry = entry
        self.name = entry.name
        self._line = Line(entry, link)
        self._publisher = publisher
        self._audit = audit
        self._owner: str | None = None
        self._owner_lock = threading.Lock()
        self._last: dict[str, Any] = {}
        self._streams = {s.channels[0].name: s.name for s in scalar_streams(entry)}
        self._ways: dict[str, Callable[..., Any]] = {}
        self._readings: dict[str, Callable[[], Any]] = {}

    # --- owners

    @property
    def owner(self) -> str | None:
        """Who holds the instrument now, if anybody does."""
        return self._owner

    def take(self, owner: str) -> None:
        """Give the instrument to one owner; what others have asked for is not carried out."""
        with self._owner_lock:
            if self._owner not in (None, owner):
                raise InstrumentBusyError(
                    f"{self.name} can have one owner; {self._owner} holds it: wait until it ends "
                    "or stop it",
                    instrument=self.name,
                )
            if self._owner is None:
                self._line.calm()
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
        if verb in READ_INTO and not args and not kwargs:
            return self.reading(verb)()
        special = _SPECIAL.get(verb)
        try:
            return special(self, *args, **kwargs) if special else self._plain(verb, *args, **kwargs)
        except TypeError as error:
            raise InstrumentError(
                f"{self.name}.{verb} cannot take these arguments: {error}", instrument=self.name
            ) from error

    def _plain(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """A verb that is one call on the link's thread; a limited quantity is checked first."""
        quantity = LIMITED.get(verb)
        if quantity is None:
            way = self._make_way(verb, **kwargs) if kwargs else self._way(verb)
            return self._carry_out(verb, way, *args)
        method = getattr(self.entry.instrument, verb)
        value = self._within_limits(quantity, self._only_argument(method, verb, args, kwargs))
        result = self._carry_out(verb, self._way(verb), value)
        self._last[quantity] = value
        return result

    def _carry_out(self, verb: str, way: Callable[..., Any], *args: Any) -> Any:
        return way(*args) if verb in ASKING else way(_wanted_since(), TICKET.get(), *args)

    def _way(self, verb: str) -> Callable[..., Any]:
        """The call that carries a verb to the driver, made once."""
        return self._ways.get(verb) or self._ways.setdefault(verb, self._make_way(verb))

    def _make_way(self, verb: str, **kwargs: Any) -> Callable[..., Any]:
        method = getattr(self.entry.instrument, verb)
        make = self._line.asking if verb in ASKING else self._line.commanding
        return make(verb, partial(method, **kwargs) if kwargs else method)

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

    # --- motion and reading, with what they leave in the streams

    def _move_abs(self, position: Any, timeout: float = MOTION_SECS) -> float:
        return self._move(self._within_limits("position", position), timeout)

    def _move_rel(self, distance: Any, timeout: float = MOTION_SECS) -> float:
        step = check_number(distance, instrument=self.name, what="distance")
        # To the place that was checked: from wherever else it is by then, it could go too far.
        return self._move_abs(self._way("position")() + step, timeout)

    def _move(self, target: float, timeout: float) -> float:
        """Start a motion, wait for rest, and return the position as read back."""
        settle = self._settled_within(timeout)
        self._way("move_abs")(_wanted_since(), TICKET.get(), target)
        settle()
        return cast(float, self.reading("position")())

    def _wait_settled(self, timeout: float = MOTION_SECS) -> None:
        self._settled_within(timeout)()

    def _settled_within(self, timeout: float) -> Callable[[], None]:
        """What waits for rest; refuses a timeout that is none, while nothing moves yet."""
        limit = check_number(timeout, instrument=self.name, what="timeout")
        if not 0 < limit <= MAX_MOTION_SECS:
            raise LimitError(
                f"{self.name}: timeout must lie above 0 and up to {MAX_MOTION_SECS:g} s; "
                f"found {limit:g}; nothing moved",
                instrument=self.name,
            )
        if limit != MOTION_SECS:
            return self._line.settling(limit)
        return self._ways.get("settle") or self._ways.setdefault(
            "settle", self._line.settling(limit)
        )

    def reading(self, verb: str) -> Callable[[], Any]:
        """`perform` of a verb without arguments, made ready to be done again and again."""
        return self._readings.get(verb) or self._readings.setdefault(verb, self._make_reading(verb))

    def _make_reading(self, verb: str) -> Callable[[], Any]:
        channel = READ_INTO.get(verb)
        if channel is None:
            return partial(self.perform, verb, [], {})
        ask, last = self._way(verb), self._last
        stream, put_row = self._streams[channel], self._publisher.put_row

        def read() -> float:
            value = float(ask())
            last[channel] = value
            put_row(stream, (value,))
            return value

        return read

    # --- the steps of a scan

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of what the daemon itself reads from it."""
        return tuple(self._streams.values())

    def check_target(self, position: Any) -> float:
        """The position, if it is within limits; nothing moves."""
        return self._within_limits("position", position)

    def beginning(self, *, asked: float) -> Callable[[float], None]:
        """What starts towards a checked target, unless somebody has stopped it since `asked`."""
        return partial(self._way("move_abs"), asked, None)

    def settling(self) -> Callable[[], float]:
        """What waits for rest and returns the position as read back."""
        wait, read = self._settled_within(MOTION_SECS), self.reading("position")

        def settle() -> float:
            wait()
            return cast(float, read())

        return settle

    def stop(self) -> None:
        """End its motion now, and what waits to move it."""
        self.calm()
        self.halt()

    def calm(self) -> None:
        """Refuse what was asked of it before now; waits for nothing."""
        self._line.calm()

    def halt(self) -> None:
        """End its motion now."""
        if self.entry.instrument is not None and "Movable" in self.entry.capabilities:
            self._movable.stop()

    def make_safe(self) -> None:
        """Bring it to its safe state now, and refuse what waits to command it."""
        self._line.calm()
        if self.entry.instrument is not None:
            self._movable.make_safe()

    def rest(self, deadline_secs: float) -> None:
        """Return once it is at rest; raises `InstrumentTimeoutError` when it is not in time."""
        if self.entry.instrument is None or "Movable" not in self.entry.capabilities:
            return
        until = time.monotonic() + deadline_secs
        while not self._rests(max(until - time.monotonic(), _SHORTEST_SECS)):
            pass

    def _rests(self, limit: float) -> bool:
        """Wait for rest; `False` where somebody else has brought it to rest meanwhile."""
        calmed = self._line.calmed_at
        try:
            self._movable.wait_settled(limit)
        except InstrumentFaultError:
            if self._line.calmed_at == calmed:
                raise
            return False
        return True

    @property
    def _movable(self) -> Any:
        return self.entry.instrument

    # --- the rest of its life

    def poll(self) -> None:
        """Take one reading of everything the instrument can tell."""
        for verb in READ_INTO:
            if verb in self.entry.verbs:
                self.reading(verb)()

    def prepare(self) -> None:
        """Get ready for a run: stage what can be staged."""
        if "Stageable" in self.entry.capabilities:
            self._line.asking("stage", self._movable.stage)()

    def put_back(self) -> None:
        """Put back what `prepare` did."""
        if "Stageable" in self.entry.capabilities:
            self._line.asking("unstage", self._movable.unstage)()

    def settings(self) -> dict[str, Any]:
        """The instrument's slow settings, each `{"value", "unit"}`; empty where it has none."""
        if "Configurable" not in self.entry.capabilities or self.entry.instrument is None:
            return {}
        settings: dict[str, Any] = self._way("settings")()
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
        self._line.close()


_SPECIAL: dict[str, Callable[..., Any]] = {
    "move_abs": InstrumentHost._move_abs,
    "move_rel": InstrumentHost._move_rel,
    "wait_settled": InstrumentHost._wait_settled,
    "stop": InstrumentHost.stop,
    "make_safe": InstrumentHost.make_safe,
}
