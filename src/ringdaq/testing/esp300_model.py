"""What a Newport ESP300 does with the lines it receives: axes, units, error queue."""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ringdaq.instruments.sim.motion import Motion, brake, redirect, resting

IDENTITY = "ESP300 Version 3.04 07/27/01 (ringdaq simulator)"
MODEL = "ESP300, SIM-0001"
_COMMAND = re.compile(r"\s*(\d*)\s*(\*?[A-Za-z]{2,3})\s*(\?|[+-]?[0-9.]+(?:[eE][+-]?\d+)?)?\s*")
_ERRORS_HELD = 10
_TICK_SECS = 400e-6

NO_COMMAND, BAD_AXIS, NO_AXIS, NO_VALUE = 6, 9, 37, 38
OUT_OF_RANGE, TOO_FAR, NOT_FAR_ENOUGH, TOO_FAST, TOO_STRONG, MOTOR_OFF = 1, 6, 7, 10, 11, 13
_WORDS = {
    NO_COMMAND: "COMMAND DOES NOT EXIST",
    BAD_AXIS: "AXIS NUMBER OUT OF RANGE",
    NO_AXIS: "AXIS NUMBER MISSING",
    NO_VALUE: "COMMAND PARAMETER MISSING",
}
_AXIS_WORDS = {
    OUT_OF_RANGE: "PARAMETER OUT OF RANGE",
    TOO_FAR: "POSITIVE SOFTWARE LIMIT",
    NOT_FAR_ENOUGH: "NEGATIVE SOFTWARE LIMIT",
    TOO_FAST: "MAXIMUM VELOCITY EXCEEDED",
    TOO_STRONG: "MAXIMUM ACCELERATION EXCEEDED",
    MOTOR_OFF: "MOTOR NOT ENABLED",
}


@dataclass
class Axis:
    """One motor."""

    number: int
    unit_code: int = 2
    velocity: float = 10.0
    acceleration: float = 100.0
    max_velocity: float = 200.0
    max_acceleration: float = 2000.0
    low: float = -100.0
    high: float = 100.0
    motor_on: bool = False
    motion: Motion = field(default_factory=lambda: resting(0.0))


class Esp300Model:
    """Takes a line, returns the lines it answers; time comes from `now`."""

    def __init__(self, axes: int = 3, now: Callable[[], float] = time.monotonic) -> None:
        self.axes = {n: Axis(n) for n in range(1, axes + 1)}
        self.identity = IDENTITY
        self._now = now
        self._begun = now()
        self._errors: deque[tuple[int, str]] = deque(maxlen=_ERRORS_HELD)

    def answer(self, line: str) -> list[str]:
        """Carry out a line, which may hold several commands with `;` between them."""
        replies = []
        for command in filter(str.strip, line.split(";")):
            reply = self._carry_out(command)
            if reply is not None:
                replies.append(reply)
        return replies

    def position(self, axis: int) -> float:
        """Where an axis is."""
        return self.axes[axis].motion.position_at(self._now())

    def moving(self, axis: int) -> bool:
        """Whether an axis is under way."""
        return self._now() < self.axes[axis].motion.end

    def _carry_out(self, text: str) -> str | None:
        match = _COMMAND.fullmatch(text)
        if match is None:
            self._fail(NO_COMMAND)
            return None
        number, command, value = match.group(1), match.group(2).upper(), match.group(3)
        general = _GENERAL.get(command)
        if general is not None:
            return general(self)
        handler = _FOR_AXIS.get(command)
        if handler is None:
            self._fail(NO_COMMAND)
        elif not number:
            self._fail(NO_AXIS)
        elif int(number) not in self.axes:
            self._fail(BAD_AXIS)
        else:
            return handler(self, self.axes[int(number)], value)
        return None

    # --- errors

    def _fail(self, code: int, axis: Axis | None = None) -> None:
        if axis is None:
            self._errors.append((code, _WORDS[code]))
        else:
            words = f"AXIS-{axis.number} {_AXIS_WORDS[code]}"
            self._errors.append((100 * axis.number + code, words))

    def _next_error(self) -> tuple[int, str]:
        return self._errors.popleft() if self._errors else (0, "NO ERROR DETECTED")

    def _error_text(self) -> str:
        code, words = self._next_error()
        return f"{code}, {int((self._now() - self._begun) / _TICK_SECS)}, {words}"

    def _error_code(self) -> str:
        return str(self._next_error()[0])

    # --- what concerns one axis

    def _absolute(self, axis: Axis, value: str | None) -> str | None:
        if value is None or value == "?":
            return self._queried(value, axis.motion.target)
        self._go(axis, float(value))
        return None

    def _relative(self, axis: Axis, value: str | None) -> str | None:
        if value is None or value == "?":
            return self._queried(value, 0.0)
        self._go(axis, self.position(axis.number) + float(value))
        return None

    def _home(self, axis: Axis, value: str | None) -> str | None:
        del value
        self._go(axis, 0.0)
        return None

    def _go(self, axis: Axis, target: float) -> None:
        if not axis.motor_on:
            self._fail(MOTOR_OFF, axis)
        elif target > axis.high:
            self._fail(TOO_FAR, axis)
        elif target < axis.low:
            self._fail(NOT_FAR_ENOUGH, axis)
        else:
            axis.motion = redirect(
                self._now(), axis.motion, target,
                velocity=axis.velocity, acceleration=axis.acceleration,
            )  # fmt: skip

    def _stop(self, axis: Axis, value: str | None) -> str | None:
        del value
        now = self._now()
        here, speed = axis.motion.position_at(now), axis.motion.velocity_at(now)
        axis.motion = brake(now, here, speed, acceleration=axis.acceleration)
        return None

    def _tell_position(self, axis: Axis, value: str | None) -> str:
        del value
        return f"{self.position(axis.number):.6f}"

    def _motion_done(self, axis: Axis, value: str | None) -> str:
        del value
        return "0" if self.moving(axis.number) else "1"

    def _motor(self, axis: Axis, value: str | None) -> str | None:
        if value == "?":
            return str(int(axis.motor_on))
        axis.motor_on = True
        return None

    def _motor_off(self, axis: Axis, value: str | None) -> str | None:
        if value == "?":
            return str(int(not axis.motor_on))
        axis.motion = resting(self.position(axis.number))
        axis.motor_on = False
        return None

    def _speed(self, axis: Axis, value: str | None) -> str | None:
        if value is None or value == "?":
            return self._queried(value, axis.velocity)
        if not 0 < float(value) <= axis.max_velocity:
            self._fail(TOO_FAST, axis)
        else:
            axis.velocity = float(value)
        return None

    def _ramp(self, axis: Axis, value: str | None) -> str | None:
        if value is None or value == "?":
            return self._queried(value, axis.acceleration)
        if not 0 < float(value) <= axis.max_acceleration:
            self._fail(TOO_STRONG, axis)
        else:
            axis.acceleration = float(value)
        return None

    def _unit(self, axis: Axis, value: str | None) -> str | None:
        if value == "?":
            return str(axis.unit_code)
        if value is None or value not in map(str, range(12)):
            self._fail(OUT_OF_RANGE, axis)
        else:
            axis.unit_code = int(value)
        return None

    def _queried(self, value: str | None, answer: float) -> str | None:
        if value is None:
            self._fail(NO_VALUE)
            return None
        return f"{answer:g}"


_GENERAL: dict[str, Callable[[Esp300Model], str]] = {
    "VE": lambda model: model.identity,
    "*IDN": lambda model: model.identity,
    "TB": Esp300Model._error_text,
    "TE": Esp300Model._error_code,
}
_FOR_AXIS: dict[str, Callable[[Esp300Model, Axis, str | None], str | None]] = {
    "PA": Esp300Model._absolute,
    "PR": Esp300Model._relative,
    "OR": Esp300Model._home,
    "ST": Esp300Model._stop,
    "TP": Esp300Model._tell_position,
    "MD": Esp300Model._motion_done,
    "MO": Esp300Model._motor,
    "MF": Esp300Model._motor_off,
    "VA": Esp300Model._speed,
    "AC": Esp300Model._ramp,
    "SN": Esp300Model._unit,
    "ID": lambda *_: MODEL,
}
