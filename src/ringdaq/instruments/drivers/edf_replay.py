"""A recorded EDF or BDF file, played as if it were measured now."""

import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field

from ringdaq.config import FilePath, Section
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.drivers.edf_file import EdfFile, EdfGroup, open_edf
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.pacing import Track, block_rows, play
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import MonotonicTimer, Timer
from ringdaq.model import StreamSpec


class EdfReplayOptions(Section):
    """Options of `replay.edf`."""

    file: FilePath
    """The recording; a relative path begins at the folder of the file that names it."""
    speed: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    """How many times faster than it was recorded."""
    loop: bool = True
    """Begin again at the end, without a gap; otherwise the streams end there."""
    block_secs: Annotated[float, Field(gt=0, le=10)] = 0.025
    """How long a block is, as it is played."""


class EdfReplay:
    """SampleProducer; the values are the file's own digital ones.

    Nothing is made up, so the streams are not `simulated`; their metadata says what they replay.
    """

    def __init__(
        self, name: str, options: EdfReplayOptions, file: EdfFile, timer: Timer | None = None
    ) -> None:
        self.name = name
        self._options = options
        self._file = file
        self._timer = timer or MonotonicTimer()
        # Six digits behind the point, or a third: a rate's numbers must not grow beyond int64.
        self._speed = Fraction(str(options.speed)).limit_denominator(10**6)

    def stream_specs(self) -> list[StreamSpec]:
        return [
            StreamSpec(
                name=self._stream_name(group),
                kind="samples",
                channels=group.channels,
                sample_rate=self._played_rate(group),
                instrument=self.name,
                metadata={
                    "replay_of": self._options.file.name,
                    "replay_speed": str(self._speed),
                    "replay_loop": str(self._options.loop).lower(),
                    "recorded_rate_hz": str(group.rate),
                    **self._file.notes,
                },
            )
            for group in self._file.groups
        ]

    def run(self, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
        tracks = [self._track(group, sinks) for group in self._file.groups]
        play(tracks, stop, self._timer)

    def settings(self) -> Settings:
        return {
            "file": {"value": self._options.file.name, "unit": ""},
            "speed": {"value": self._options.speed, "unit": ""},
            "loop": {"value": self._options.loop, "unit": ""},
        }

    def configure(self, **knobs: Any) -> None:
        check_knobs(self.name, knobs, ())

    def make_safe(self) -> None:
        """Nothing to do: it only plays."""

    def _track(self, group: EdfGroup, sinks: Mapping[str, Sink]) -> Track:
        rate = self._played_rate(group)
        return Track(
            sink=sinks[self._stream_name(group)],
            rate=rate,
            rows=block_rows(rate, self._options.block_secs),
            block=group.rows,
            total=None if self._options.loop else group.total,
        )

    def _played_rate(self, group: EdfGroup) -> Fraction:
        return group.rate * self._speed

    def _stream_name(self, group: EdfGroup) -> str:
        """The instrument's name, with the recorded rate behind it where there are several."""
        if len(self._file.groups) == 1:
            return self.name
        return f"{self.name}.{str(group.rate).replace('/', '_')}hz"


def _build(site: Site, options: EdfReplayOptions) -> EdfReplay:
    return EdfReplay(site.name, options, open_edf(site.resolve(options.file)), site.timer)


DRIVER = Driver(EdfReplay, EdfReplayOptions, _build, made_up=False)
