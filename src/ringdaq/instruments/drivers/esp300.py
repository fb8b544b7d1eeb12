"""One axis of a Newport ESP300 motion controller."""

import os
import threading
from typing import Annotated, Any, Literal

from pydantic import Field

from ringdaq.config import Section
from ringdaq.errors import ConfigError, InstrumentFaultError, InstrumentTimeoutError
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.drivers.esp300_controller import UNIT_CODES, Controller
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.links.serial_port import SerialPort
from ringdaq.instruments.timing import MonotonicTimer, Timer, finite, positive

Positive = Annotated[float, Field(gt=0)]


class Esp300Options(Section):
    """Options of `newport.esp300`; axes on one port share baud_rate, rtscts and deadline_secs."""

    port: Annotated[str, Field(min_length=1)]
    """The serial port, best as `/dev/serial/by-id/...`."""
    axis: Annotated[int, Field(ge=1, le=3)]
    """1, 2 or 3."""
    unit: Literal["mm", "um", "in", "deg", "rad", "mrad", "urad"] = "mm"
    """What the controller must be set to for this axis."""
    baud_rate: Literal[9600, 19200, 38400, 57600, 115200] = 19200
    """In bits per second; the device leaves its maker with 19200."""
    rtscts: bool = True
    """The handshake that the device wants; false only for lines that have none."""
    deadline_secs: Annotated[float, Field(gt=0, le=10)] = 1.0
    """For the answer to each question."""
    poll_secs: Annotated[float, Field(ge=0.005, le=1)] = 0.02
    """Between two questions whether the motion is done."""
    motor_on_move: bool = True
    """Switch the motor on before a motion if it is off."""


class Esp300Axis:
    """Movable and Configurable; positions are those that the controller reads back."""

    def __init__(
        self,
        name: str,
        controller: Controller,
        options: Esp300Options,
        timer: Timer | None = None,
    ) -> None:
        self.name = name
        self.position_unit = options.unit
        self._controller = controller
        self._axis = options.axis
        self._options = options
        self._timer = timer or MonotonicTimer()
        # Counts stops, and wakes those who wait for rest.
        self._stopped = threading.Condition()
        self._stops = 0
        controller.claim(self._axis, name)
        self._check_unit()
        self.position()

    def _check_unit(self) -> None:
        wanted = UNIT_CODES[self._options.unit]
        found = self._controller.number(self._axis, "SN?")
        if found != wanted:
            raise InstrumentFaultError(
                f"{self.name}: axis {self._axis} should count in {self._options.unit} "
                f"(SN {wanted}); the controller is set to SN {found:g}: set it there, or write "
                f"that unit in the rig",
                instrument=self.name,
            )

    def move_abs(self, position: float) -> None:
        target = finite(position, "position", instrument=self.name)
        self._move(f"PA{target:.6f}")

    def move_rel(self, distance: float) -> None:
        step = finite(distance, "distance", instrument=self.name)
        self._move(f"PR{step:.6f}")

    def _move(self, command: str) -> None:
        if self._options.motor_on_move and not self._controller.flag(self._axis, "MO?"):
            self._controller.command(self._axis, "MO")
        self._controller.command(self._axis, command)

    def position(self) -> float:
        return self._controller.number(self._axis, "TP?")

    def wait_settled(self, timeout: float) -> None:
        limit = positive(timeout, "timeout", instrument=self.name)
        until = self._timer.now() + limit
        with self._stopped:
            stops = self._stops
        # MD? answers 1 when the motion is done.
        while not self._controller.flag(self._axis, "MD?"):
            if self._timer.now() >= until:
                raise InstrumentTimeoutError(
                    f"{self.name} should come to rest within {limit:g} s; it is still moving: "
                    f"wait longer, or stop it",
                    instrument=self.name,
                )
            with self._stopped:
                left = until - self._timer.now()
                self._timer.wait_for(self._stopped, min(self._options.poll_secs, left))
        self._controller.check(self._axis, "the motion")
        if self._stops != stops:
            raise InstrumentFaultError(
                f"{self.name} was stopped on its way, at {self.position():g} {self.position_unit}",
                instrument=self.name,
            )

    def stop(self) -> None:
        with self._stopped:
            self._stops += 1
            self._stopped.notify_all()
        self._controller.halt(self._axis)

    def make_safe(self) -> None:
        self.stop()

    def settings(self) -> Settings:
        unit = self.position_unit
        ask = self._controller.number
        return {
            "velocity": {"value": ask(self._axis, "VA?"), "unit": f"{unit}/s"},
            "acceleration": {"value": ask(self._axis, "AC?"), "unit": f"{unit}/s2"},
            "motor_on": {"value": self._controller.flag(self._axis, "MO?"), "unit": ""},
            "axis": {"value": self._axis, "unit": ""},
            "controller": {"value": self._controller.identity, "unit": ""},
        }

    def configure(self, **knobs: Any) -> None:
        check_knobs(self.name, knobs, ("velocity", "acceleration", "motor_on"))
        commands = [self._command(knob, value) for knob, value in knobs.items()]
        for command in commands:
            self._controller.command(self._axis, command)

    def _command(self, knob: str, value: Any) -> str:
        if knob == "motor_on":
            return "MO" if value else "MF"
        number = positive(value, knob, instrument=self.name)
        return f"{'VA' if knob == 'velocity' else 'AC'}{number:.6f}"


def _key(name: str, options: Esp300Options) -> str:
    del name
    return f"serial:{os.path.realpath(options.port)}"


def _build(site: Site, options: Esp300Options) -> Esp300Axis:
    line = (options.baud_rate, options.rtscts, options.deadline_secs)
    key = _key(site.name, options)
    controller: Controller = site.share(key, lambda: _controller(options, line))
    if line != controller.line:
        raise ConfigError(
            f"{site.name}: axes on one port must have the same baud_rate, rtscts and "
            f"deadline_secs; found {line} beside {controller.line}: {options.port}"
        )
    controller.connect(simulated=site.simulated)
    return Esp300Axis(site.name, controller, options, site.timer)


def _controller(options: Esp300Options, line: tuple[object, ...]) -> Controller:
    def open_port() -> SerialPort:
        return SerialPort(
            options.port, baud_rate=options.baud_rate, rtscts=options.rtscts, terminator=b"\r\n"
        )

    return Controller(open_port, deadline_secs=options.deadline_secs, line=line)


DRIVER = Driver(Esp300Axis, Esp300Options, _build, made_up=None, link=_key)
