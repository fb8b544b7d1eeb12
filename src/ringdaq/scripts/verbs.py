"""What a script can say, and how it reaches the daemon."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NoReturn

from ringdaq.control import Message
from ringdaq.errors import ScriptLimitError, from_wire, to_wire
from ringdaq.scripts.interrupts import ScriptStopped
from ringdaq.scripts.language import LEVELS, PLANS, RESERVED_COLUMN
from ringdaq.scripts.meter import Meter
from ringdaq.scripts.page import Page
from ringdaq.scripts.plan_verbs import PlanVerbs
from ringdaq.scripts.progress import Progress
from ringdaq.scripts.spent import output_spent
from ringdaq.scripts.wire import PeerGoneError, Wire


class Caller:
    """The child's end of the wire: asks, and waits for the answer."""

    def __init__(
        self,
        wire: Wire,
        page: Page,
        limits: Mapping[str, float],
        line_now: Callable[[], int],
    ) -> None:
        self._wire = wire
        self._line_now = line_now
        self._number = 0
        self.page = page
        self.meter = Meter(limits, page, self._tell_limit)
        self.progress = Progress(page)

    def ask(self, method: str, params: list[object]) -> object:
        """Have the daemon do something; returns its answer or raises its error."""
        meter = self.meter
        meter.at(self._line_now())
        meter.check()
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": params}
        if meter.closing:
            message["closing"] = True
        self._send(message)
        reply = self._reply()
        meter.refill()
        meter.check()
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply.get("result")

    def here(self) -> int:
        """The line that the script is at."""
        self.meter.at(self._line_now())
        return self.meter.line

    def tell(self, event: str, **fields: object) -> None:
        """Send something that wants no answer."""
        self._send({"event": event, **fields})

    def _tell_limit(self, error: ScriptLimitError) -> None:
        self.tell("limit", error=to_wire(error))

    def _send(self, message: Message) -> None:
        try:
            self._wire.send(message)
        except PeerGoneError:
            os._exit(1)  # nobody is there to run for

    def _reply(self) -> Message:
        message = self._wire.receive()
        if message is None:
            os._exit(1)
        return message


class Instrument:
    """An instrument as a script sees it: its verbs, nothing else."""

    def __init__(self, name: str, verbs: Collection[str], caller: Caller) -> None:
        self.__dict__.update({verb: _verb(name, verb, caller) for verb in verbs})
        self.__dict__["_name"] = name

    def __getattr__(self, verb: str) -> NoReturn:
        has = ", ".join(sorted(k for k in self.__dict__ if k != "_name"))
        name = self.__dict__.get("_name")
        raise AttributeError(f"the instrument {name!r} has no verb {verb!r}; it has: {has}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"the instrument {self._name!r} cannot be written to")

    def __repr__(self) -> str:
        return f"<instrument {self._name}>"


def name_of(value: object) -> object:
    """An instrument's name; anything else as it is."""
    return value.__dict__["_name"] if isinstance(value, Instrument) else value


def _verb(instrument: str, verb: str, caller: Caller) -> Callable[..., object]:
    def call(*args: object, **kwargs: object) -> object:
        try:
            return caller.ask("verb", [instrument, verb, args, kwargs])
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(
                f"{instrument}.{verb} takes numbers, text, lists and dictionaries; {error}"
            ) from None

    call.__name__ = call.__qualname__ = f"{instrument}.{verb}"
    return call


class ShutterOpen:
    """`with shutter_open(shutter):` closes it on any way out, a stop included."""

    def __init__(self, meter: Meter, shutter: Any) -> None:
        self._meter, self._shutter = meter, shutter

    def __enter__(self) -> None:
        open_shutter = self._shutter.open_shutter
        try:
            open_shutter()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._meter.shield()
        try:
            self._shutter.close_shutter()
        finally:
            self._meter.unshield()


class Speech:
    """The verbs that belong to no instrument."""

    def __init__(self, caller: Caller, output_bytes: int) -> None:
        self._caller = caller
        self._output_bytes = output_bytes
        self._output_left = output_bytes
        self._started = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; a stop ends it early."""
        wait = _size("sleep", seconds)
        if not (math.isfinite(wait) and wait >= 0):
            raise ValueError(f"sleep takes 0 seconds or more; found {seconds!r}")
        self._caller.ask("sleep", [wait])

    def emit(self, *unnamed: object, **values: object) -> None:
        """Write one row into the run's own stream."""
        if unnamed:
            raise TypeError(
                f"emit takes values by name: emit(power=meter.read()); found {unnamed[0]!r:.80}"
            )
        if not values:
            raise ValueError("emit takes at least one value: emit(power=meter.read())")
        if RESERVED_COLUMN in values:
            raise ValueError(f"emit writes {RESERVED_COLUMN!r} itself; take another name")
        self._caller.ask("emit", [{name: _scalar(name, v) for name, v in values.items()}])

    def say(
        self, *values: object, sep: str | None = " ", end: str | None = "\n", **_: object
    ) -> None:
        """`print`, kept with the run."""
        text = (" " if sep is None else sep).join(map(str, values))
        self._write(text + ("\n" if end is None else end), "info")

    def log(self, text: object, level: str = "info") -> None:
        """`print` with the seconds since the start before it, and a level."""
        if level not in LEVELS:
            raise ValueError(f"log takes a level of {', '.join(LEVELS)}; found {level!r:.80}")
        said = "" if level == "info" else f"{level}: "
        self._write(f"[{time.monotonic() - self._started:10.3f}] {said}{text}\n", level)

    def progress(self, done: float, total: float) -> None:
        """Say how far the script is, instead of what its loops tell."""
        part, whole = _size("progress", done), _size("progress", total)
        if not (math.isfinite(part) and math.isfinite(whole) and 0 <= part <= whole and whole > 0):
            raise ValueError(f"progress takes 0 <= done <= total; found {done!r} of {total!r}")
        self._caller.progress.state(part / whole)

    def _write(self, text: str, level: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        fits = data[: self._output_left]
        self._output_left -= len(fits)
        line = self._caller.here()
        for start in range(0, len(fits), 1 << 20):
            self._caller.tell(
                "output", data=fits[start : start + (1 << 20)], level=level, line=line
            )
        if len(fits) < len(data):
            meter = self._caller.meter
            meter.exceed(output_spent(self._output_bytes, meter.line))


# Python tells of wrong arguments by this name.
for _method, _verb_name in [
    (Speech.sleep, "sleep"),
    (Speech.emit, "emit"),
    (Speech.say, "print"),
    (Speech.log, "log"),
    (Speech.progress, "progress"),
    (ShutterOpen.__init__, "shutter_open"),
]:
    _method.__qualname__ = _verb_name


def _size(verb: str, value: float) -> float:
    """The number, which may be a whole one, as a broken one."""
    if isinstance(value, str | bytes):
        raise TypeError(f"{verb} takes a number; found {value!r:.80}")
    try:
        return float(value)
    except OverflowError:
        bits = int(value).bit_length()
        raise OverflowError(
            f"{verb} takes numbers of up to 1024 bits; found a whole one of {bits} bits"
        ) from None


def _scalar(name: str, value: object) -> bool | int | float | str:
    if isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"emit {name!r}: an integer must fit into 64 bits")
        return value
    item = getattr(value, "item", None)  # numpy's numbers
    if item is not None and getattr(value, "ndim", None) == 0:
        return _scalar(name, item())
    raise TypeError(
        f"emit {name!r} takes a number, a truth value or a text; found {type(value).__name__!r}"
    )


def names(
    instruments: Mapping[str, Collection[str]], caller: Caller, speech: Speech
) -> dict[str, object]:
    """All of it by the names that scripts use, but for `parameters`."""
    plans = PlanVerbs(caller, name_of)
    return {
        **{name: plans.verb(name) for name in PLANS},
        "adaptive": plans.adaptive,
        "sleep": speech.sleep,
        "emit": speech.emit,
        "print": speech.say,
        "log": speech.log,
        "shutter_open": partial(ShutterOpen, caller.meter),
        "progress": speech.progress,
        "ScriptStopped": ScriptStopped,
        **{name: Instrument(name, verbs, caller) for name, verbs in instruments.items()},
    }
