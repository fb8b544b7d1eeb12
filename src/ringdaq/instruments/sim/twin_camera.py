"""A simulated camera whose frames take their time and have no picture."""

import math

from ringdaq.errors import InstrumentBusyError
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.sim.camera import CameraOptions, SimulatedCamera
from ringdaq.instruments.sim.place import place_of


class TwinCamera(SimulatedCamera):
    """For dry runs: frames are counted by the clock, on whatever thread asks."""

    _streams_since: float | None = None
    _streams_frames: float = 0

    def _render(self, place: float) -> object:
        del place
        return None

    def start_stream(self, frames: int = 0) -> None:
        """Begin to make frames; only the clock tells how many there are."""
        if self._streaming():
            raise InstrumentBusyError(
                f"{self.name} is streaming already; call stop_stream() first",
                instrument=self.name,
            )
        self._streams_since = self._timer.now()
        self._streams_frames = frames or math.inf

    def _streaming(self) -> bool:
        return self._streams_since is not None and self._streamed() < self._streams_frames

    def _streamed(self) -> int:
        if self._streams_since is None:
            return 0
        # In mode `instant` the exposure is a part of what `_idle_secs` waits.
        exposure = 0.0 if self._options.mode == "instant" else self._exposure
        made = (self._timer.now() - self._streams_since) / (exposure + self._idle_secs())
        return math.floor(min(made, self._streams_frames))

    def stop_stream(self) -> int:
        """End it, and hand on as many empty frames as there would have been."""
        made = self._streamed()
        self._streams_since = None
        if self._sink is not None:
            for _ in range(made):
                self._sink.write_frame(0, None, self._frame_number, self._exposure)
                self._frame_number += 1
        return made

    def make_safe(self) -> None:
        self.stop_stream()
        super().make_safe()


def _build(site: Site, options: CameraOptions) -> TwinCamera:
    return TwinCamera(site.name, options, place_of(site, options.follows), site.timer)


DRIVER = Driver(TwinCamera, CameraOptions, _build, made_up=True)
