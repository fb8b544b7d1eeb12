"""A camera that looks at a spot, which wanders and blurs as a stage moves."""

import threading
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from ringdaq.clock import now_nanos
from ringdaq.config import Section
from ringdaq.errors import InstrumentBusyError, InstrumentFaultError, LimitError
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.sim.faults import FaultOptions, Mode, faults_for
from ringdaq.instruments.sim.frame_loop import FrameLoop
from ringdaq.instruments.sim.place import PlaceOf, place_of
from ringdaq.instruments.sim.spot import Spot
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import MonotonicTimer, Pause, Timer, positive
from ringdaq.model import Channel, StreamSpec

SHORTEST_EXPOSURE_SECS = 1e-5
LONGEST_EXPOSURE_SECS = 10.0
STOP_SECS = 2.0

Positive = Annotated[float, Field(gt=0)]


class CameraOptions(Section):
    """Options of `simulated.camera`."""

    mode: Mode = "realistic"
    """`instant`: no time passes. `realistic`: finite speed. `chaos`: finite speed, with faults."""
    width: Annotated[int, Field(ge=8, le=4096)] = 128
    """In pixels."""
    height: Annotated[int, Field(ge=8, le=4096)] = 96
    """In pixels."""
    exposure: Annotated[float, Field(ge=SHORTEST_EXPOSURE_SECS, le=LONGEST_EXPOSURE_SECS)] = 0.01
    """In seconds."""
    readout_secs: Annotated[float, Field(ge=0.001)] = 0.005
    """From the end of an exposure to the next one's start."""
    follows: str | None = None
    """The stage that moves the spot; without one the spot stands still."""
    pixels_per_unit: float = 2.0
    """How far the spot wanders for one unit of the stage."""
    focus: float = 0.0
    """Where on the stage the spot is sharpest and in the middle."""
    sigma_pixels: Positive = 6.0
    """The spot's width in focus."""
    blur: Annotated[float, Field(ge=0)] = 0.02
    """How much wider it gets for one unit out of focus, as a part of its width."""
    rate: Positive = 100_000.0
    """Counts per second in the brightest pixel."""
    background: Annotated[float, Field(ge=0)] = 100.0
    """Counts in every pixel, of the electronics."""
    seed: int = 0
    """The same seed gives the same noise."""
    faults: FaultOptions | None = None
    """What goes wrong in mode `chaos`; see `[instrument.options.faults]`."""


class SimulatedCamera:
    """Triggerable, FrameProducer, ExposureControl; staging it arms it."""

    def __init__(
        self,
        name: str,
        options: CameraOptions | None = None,
        place: PlaceOf | None = None,
        timer: Timer | None = None,
    ) -> None:
        options = options or CameraOptions()
        self.name = name
        self._options = options
        self._place: Callable[[], float] = place or (lambda: options.focus)
        self._timer = timer or MonotonicTimer()
        self._faults = faults_for(name, options.mode, options.faults, self._timer)
        self._pause = Pause(self._timer)
        self._spot = Spot(options.width, options.height, seed=options.seed)
        self._exposure = options.exposure
        self._armed = False
        self._frame_number = 0
        self._sink: Sink | None = None
        self._loop: FrameLoop | None = None
        # One frame at a time; `make_safe` never takes it.
        self._taking = threading.Lock()

    def frame_spec(self) -> StreamSpec:
        shape = (self._options.height, self._options.width)
        return StreamSpec(
            name=self.name,
            kind="frames",
            channels=(
                Channel("image", "uint16", unit="count", shape=shape),
                Channel("frame", "int64", description="number of the frame, from 0"),
                Channel("exposure", "float64", unit="s"),
            ),
            instrument=self.name,
            simulated=True,
        )

    def set_sink(self, sink: Sink) -> None:
        self._sink = sink

    def resolution(self) -> tuple[int, int]:
        return self._options.width, self._options.height

    def arm(self) -> None:
        self._faults.check("arm")
        self._armed = True

    def is_armed(self) -> bool:
        return self._armed

    def trigger(self) -> int:
        begun = self._pause.mark()
        if not self._armed:
            raise InstrumentFaultError(
                f"{self.name} must be armed before a trigger; it is not: call arm() first",
                instrument=self.name,
            )
        if self._streaming():
            raise InstrumentBusyError(
                f"{self.name} is streaming, so it takes no trigger; call stop_stream() first",
                instrument=self.name,
            )
        self._faults.check("trigger")
        return self._take(begun)

    def _take(self, begun: int) -> int:
        """Expose, read out, and put the frame into the sink; the frame's time is its end.

        It is given up if it was made safe since `begun`.
        """
        with self._taking:
            before = self._place()
            exposure = 0.0 if self._options.mode == "instant" else self._exposure
            if not self._pause.sleep(exposure, since=begun):
                raise InstrumentFaultError(
                    f"{self.name} was made safe during an exposure; that frame was not taken",
                    instrument=self.name,
                )
            ended = now_nanos()
            image = self._render((before + self._place()) / 2)
            number = self._frame_number
            if self._sink is None:
                raise InstrumentFaultError(
                    f"{self.name} has nowhere to put frames; give it a sink first",
                    instrument=self.name,
                )
            self._sink.write_frame(ended, image, number, self._exposure)
            self._frame_number += 1
            return number

    def _render(self, place: float) -> object:
        options = self._options
        off = place - options.focus
        sigma = options.sigma_pixels * (1 + options.blur * abs(off))
        # The light is spread, not lost, when the spot blurs.
        peak = options.rate * self._exposure * (options.sigma_pixels / sigma) ** 2
        x = (options.width - 1) / 2 + off * options.pixels_per_unit
        y = (options.height - 1) / 2
        return self._spot.render(x, y, sigma, peak=peak, background=options.background)

    def start_stream(self, frames: int = 0) -> None:
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 0:
            raise LimitError(
                f"{self.name}: the number of frames must be 0 (until stopped) or more; "
                f"found {frames!r}",
                instrument=self.name,
            )
        if self._streaming():
            raise InstrumentBusyError(
                f"{self.name} is streaming already; call stop_stream() first",
                instrument=self.name,
            )
        self._faults.check("start_stream")
        begun = self._pause.mark()
        self._loop = FrameLoop(
            lambda: self._take(begun),
            frames=frames,
            period=self._idle_secs,
            timer=self._timer,
            name=self.name,
        )

    def _idle_secs(self) -> float:
        """Between one frame's end and the next one's start."""
        instant = self._options.mode == "instant"
        return self._options.readout_secs + (self._exposure if instant else 0.0)

    def _streaming(self) -> bool:
        return self._loop is not None and self._loop.running

    def stop_stream(self) -> int:
        loop = self._loop
        if loop is None:
            return 0
        if not loop.stop(STOP_SECS + self._exposure):
            raise InstrumentFaultError(
                f"{self.name} should have ended its stream; its last frame hangs",
                instrument=self.name,
            )
        self._loop = None
        if loop.error is not None:
            raise InstrumentFaultError(
                f"{self.name} ended its stream after {loop.taken} frames: {loop.error}",
                instrument=self.name,
            )
        return loop.taken

    def set_exposure(self, seconds: float) -> None:
        exposure = positive(seconds, "exposure", instrument=self.name)
        if not SHORTEST_EXPOSURE_SECS <= exposure <= LONGEST_EXPOSURE_SECS:
            raise LimitError(
                f"{self.name}: exposure must lie within {SHORTEST_EXPOSURE_SECS:g} to "
                f"{LONGEST_EXPOSURE_SECS:g} s; found {exposure:g}; nothing was done",
                instrument=self.name,
            )
        self._faults.check("set_exposure")
        self._exposure = exposure

    def get_exposure(self) -> float:
        return self._exposure

    def settings(self) -> Settings:
        return {
            "exposure": {"value": self._exposure, "unit": "s"},
            "width": {"value": self._options.width, "unit": "px"},
            "height": {"value": self._options.height, "unit": "px"},
            "mode": {"value": self._options.mode, "unit": ""},
        }

    def configure(self, **knobs: float) -> None:
        # The exposure has a verb of its own, on which the daemon's limits hold.
        check_knobs(self.name, knobs, ())

    def stage(self) -> None:
        self.arm()

    def unstage(self) -> None:
        self.make_safe()

    def make_safe(self) -> None:
        self._armed = False
        if self._loop is not None:
            self._loop.cancel()
        self._faults.interrupt()
        self._pause.interrupt()

    def close(self) -> None:
        """End the thread of a stream that still runs."""
        self.make_safe()
        if self._loop is not None:
            self._loop.stop(STOP_SECS)


def _build(site: Site, options: CameraOptions) -> SimulatedCamera:
    return SimulatedCamera(site.name, options, place_of(site, options.follows), site.timer)


DRIVER = Driver(SimulatedCamera, CameraOptions, _build, made_up=True)
