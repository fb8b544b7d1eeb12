"""A stage that moves along one axis in trapezoids of speed."""

import threading
from typing import Annotated

from pydantic import Field

from ringdaq.config import Bounds, Section
from ringdaq.errors import InstrumentFaultError, InstrumentTimeoutError, LimitError
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.sim.faults import FaultOptions, Mode, faults_for
from ringdaq.instruments.sim.motion import brake, redirect, resting
from ringdaq.instruments.timing import MonotonicTimer, Timer, finite, positive

Positive = Annotated[float, Field(gt=0)]


class StageOptions(Section):
    """Options of `simulated.stage`."""

    mode: Mode = "realistic"
    """`instant`: no time passes. `realistic`: finite speed. `chaos`: finite speed, with faults."""
    unit: str = "mm"
    """Of positions and limits."""
    velocity: Positive = 10.0
    """In units per second."""
    acceleration: Positive = 100.0
    """In units per second squared."""
    travel: Bounds = (-100.0, 100.0)
    """Between the hard stops; a target beyond them is a fault of the device."""
    initial: float = 0.0
    """Where it stands at the start."""
    resolution: Positive = 0.0001
    """Of the encoder: positions read back are multiples of it."""
    settle_secs: Annotated[float, Field(ge=0)] = 0.05
    """From the end of a motion to rest."""
    faults: FaultOptions | None = None
    """What goes wrong in mode `chaos`; see `[instrument.options.faults]`."""


class SimulatedStage:
    """Movable; its position is computed from the motion under way whenever somebody asks."""

    def __init__(
        self, name: str, options: StageOptions | None = None, timer: Timer | None = None
    ) -> None:
        options = options or StageOptions()
        self.name = name
        self.position_unit = options.unit
        # Plain values: asking pydantic takes twice as long, and a fast scan asks at every point.
        self._mode, self._instant = options.mode, options.mode == "instant"
        self._travel, self._resolution = options.travel, options.resolution
        self._timer = timer or MonotonicTimer()
        self._faults = faults_for(name, options.mode, options.faults, self._timer)
        steps = 1 / options.resolution
        self._steps_per_unit = steps if steps.is_integer() else None
        self._settle_secs = 0.0 if options.mode == "instant" else options.settle_secs
        self._velocity = options.velocity
        self._acceleration = options.acceleration
        # Guards what follows, and wakes those who wait for rest when the motion changes.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._motion = resting(options.initial)
        self._stops = 0

    def move_abs(self, position: float) -> None:
        target = finite(position, "position", instrument=self.name)
        self._faults.check("move_abs")
        with self._lock:
            self._go(target)

    def move_rel(self, distance: float) -> None:
        step = finite(distance, "distance", instrument=self.name)
        self._faults.check("move_rel")
        with self._lock:
            self._go(self._motion.position_at(self._timer.now()) + step)

    def _go(self, target: float) -> None:
        low, high = self._travel
        if not low <= target <= high:
            raise LimitError(
                f"{self.name}: the hard stops lie at {low:g} and {high:g} {self.position_unit}; "
                f"found a target of {target:g}; nothing moved",
                instrument=self.name,
            )
        if self._instant:
            self._motion = resting(target)  # nobody waits for that
            return
        self._motion = redirect(
            self._timer.now(), self._motion, target,
            velocity=self._velocity, acceleration=self._acceleration,
        )  # fmt: skip
        self._changed.notify_all()

    def position(self) -> float:
        self._faults.check("position")
        step = self._resolution
        steps = round(self.true_position() / step)
        if self._steps_per_unit is not None:
            return steps / self._steps_per_unit
        # The rounding takes away what the multiplication adds in the last binary digits.
        return round(steps * step, 12)

    def true_position(self) -> float:
        """Where it really is, for other simulated instruments: no encoder, no faults."""
        with self._lock:
            return self._motion.position_at(self._timer.now())

    def wait_settled(self, timeout: float) -> None:
        limit = positive(timeout, "timeout", instrument=self.name)
        self._faults.check("wait_settled")
        with self._lock:
            self._wait(self._timer.now() + limit, limit)

    def _wait(self, until: float, limit: float) -> None:
        stops, target = self._stops, self._motion.target
        while (left := self._motion.end + self._settle_secs - self._timer.now()) > 0:
            waitable = until - self._timer.now()
            if waitable <= 0:
                raise InstrumentTimeoutError(
                    f"{self.name} should rest at {target:g} {self.position_unit} within "
                    f"{limit:g} s; it is still moving: wait longer, or stop it",
                    instrument=self.name,
                )
            self._timer.wait_for(self._changed, min(left, waitable))
        if self._stops != stops:
            raise InstrumentFaultError(
                f"{self.name} should go to {target:g} {self.position_unit}, but was stopped at "
                f"{self._motion.target:g}",
                instrument=self.name,
            )

    def stop(self) -> None:
        self._faults.interrupt()
        with self._lock:
            now = self._timer.now()
            if now >= self._motion.end:
                return
            self._stops += 1
            self._motion = brake(
                now, self._motion.position_at(now), self._motion.velocity_at(now),
                acceleration=self._acceleration,
            )  # fmt: skip
            self._changed.notify_all()

    def make_safe(self) -> None:
        self.stop()

    def settings(self) -> Settings:
        return {
            "velocity": {"value": self._velocity, "unit": f"{self.position_unit}/s"},
            "acceleration": {"value": self._acceleration, "unit": f"{self.position_unit}/s2"},
            "mode": {"value": self._mode, "unit": ""},
        }

    def configure(self, **knobs: float) -> None:
        check_knobs(self.name, knobs, ("velocity", "acceleration"))
        checked = {k: positive(v, k, instrument=self.name) for k, v in knobs.items()}
        self._faults.check("configure")
        with self._lock:
            self._velocity = checked.get("velocity", self._velocity)
            self._acceleration = checked.get("acceleration", self._acceleration)


def _build(site: Site, options: StageOptions) -> SimulatedStage:
    return SimulatedStage(site.name, options, site.timer)


DRIVER = Driver(SimulatedStage, StageOptions, _build, made_up=True)
