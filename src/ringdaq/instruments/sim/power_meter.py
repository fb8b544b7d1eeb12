"""A power meter that sees a peak of light over the position of a stage."""

import math
import random
import threading
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from ringdaq.config import Section
from ringdaq.errors import InstrumentFaultError
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.sim.faults import FaultOptions, Mode, faults_for
from ringdaq.instruments.sim.place import PlaceOf, place_of
from ringdaq.instruments.timing import MonotonicTimer, Pause, Timer, positive

NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class PowerMeterOptions(Section):
    """Options of `simulated.power_meter`."""

    mode: Mode = "realistic"
    """`instant`: no time passes. `realistic`: finite speed. `chaos`: finite speed, with faults."""
    follows: str | None = None
    """The stage over which the peak lies; without one the meter sits on the peak."""
    centre: float = 0.0
    """Where on the stage the peak is."""
    width: Positive = 5.0
    """The peak's standard deviation, in the stage's unit."""
    peak: Positive = 1e-3
    """In watts."""
    background: NonNegative = 1e-6
    """In watts."""
    noise: NonNegative = 0.01
    """Standard deviation of a reading, as a part of it."""
    noise_floor: NonNegative = 1e-8
    """Standard deviation of a reading in the dark, in watts."""
    integration_secs: Positive = 0.01
    """How long a reading takes."""
    seed: int = 0
    """The same seed gives the same noise."""
    faults: FaultOptions | None = None
    """What goes wrong in mode `chaos`; see `[instrument.options.faults]`."""


class SimulatedPowerMeter:
    """Readable, in watts."""

    reading_unit = "W"

    def __init__(
        self,
        name: str,
        options: PowerMeterOptions | None = None,
        place: PlaceOf | None = None,
        timer: Timer | None = None,
    ) -> None:
        options = options or PowerMeterOptions()
        self.name = name
        # Plain numbers: asking pydantic takes twice as long, and a fast scan asks at every point.
        self._mode, self._instant = options.mode, options.mode == "instant"
        self._centre, self._width = options.centre, options.width
        self._peak, self._background = options.peak, options.background
        self._noise, self._noise_floor = options.noise, options.noise_floor
        self._place: Callable[[], float] = place or (lambda: options.centre)
        self._timer = timer or MonotonicTimer()
        self._faults = faults_for(name, options.mode, options.faults, self._timer)
        self._pause = Pause(self._timer)
        self._integration_secs = options.integration_secs
        self._random = random.Random(f"{options.seed}:{name}")
        self._reading = threading.Lock()

    def read(self) -> float:
        self._faults.check("read")
        with self._reading:
            if not self._instant and not self._pause.sleep(self._integration_secs):
                raise InstrumentFaultError(
                    f"{self.name} was made safe during a reading, which was given up",
                    instrument=self.name,
                )
            power = self.expected(self._place())
            noise = math.hypot(self._noise * power, self._noise_floor)
            return self._random.gauss(power, noise)

    def expected(self, place: float) -> float:
        """The power in W at a place of the stage, without noise."""
        off = (place - self._centre) / self._width
        return self._background + self._peak * math.exp(-off * off / 2)

    def settings(self) -> Settings:
        return {
            "integration_secs": {"value": self._integration_secs, "unit": "s"},
            "mode": {"value": self._mode, "unit": ""},
        }

    def configure(self, **knobs: float) -> None:
        check_knobs(self.name, knobs, ("integration_secs",))
        checked = {k: positive(v, k, instrument=self.name) for k, v in knobs.items()}
        self._faults.check("configure")
        self._integration_secs = checked.get("integration_secs", self._integration_secs)

    def make_safe(self) -> None:
        self._faults.interrupt()
        self._pause.interrupt()


def _build(site: Site, options: PowerMeterOptions) -> SimulatedPowerMeter:
    return SimulatedPowerMeter(site.name, options, place_of(site, options.follows), site.timer)


DRIVER = Driver(SimulatedPowerMeter, PowerMeterOptions, _build, made_up=True)
