"""An EEG amplifier with nobody attached."""

import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ringdaq.config import Section
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.pacing import Track, block_rows, play
from ringdaq.instruments.sim.brain import Brain, site_names
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import MonotonicTimer, Timer
from ringdaq.model import Channel, StreamSpec

# An ADS1299 at gain 24: volts = code x (4.5 V / 24) / 2^23.
CODE_UV = 4.5 / 24 / 2**23 * 1e6
_CODES = 2**23


class EegOptions(Section):
    """Options of `simulated.eeg`."""

    channels: Annotated[int, Field(ge=1, le=1024)] = 32
    """The first 32 have names of the 10-20 system."""
    rate_hz: Annotated[float, Field(gt=0, le=100_000)] = 4000.0
    """Samples per second, kept exactly."""
    dtype: Literal["float32", "int32"] = "float32"
    """`float32`: microvolts. `int32`: codes of a 24-bit converter, with their scale."""
    line_hz: Literal[50, 60] = 50
    """Of the mains."""
    line_uv: Annotated[float, Field(ge=0)] = 5.0
    """How strong the mains hum is, about."""
    noise_uv: Annotated[float, Field(ge=0)] = 1.0
    """RMS of the white noise."""
    block_secs: Annotated[float, Field(gt=0, le=1)] = 0.025
    """How long a block is; its samples are seen when its last one is taken."""
    seed: int = 0
    """The same seed gives the same samples."""


class SimulatedEeg:
    """SampleProducer; rhythms by site, mains hum, noise, at an exact rate."""

    def __init__(
        self, name: str, options: EegOptions | None = None, timer: Timer | None = None
    ) -> None:
        options = options or EegOptions()
        self.name = name
        self._options = options
        self._timer = timer or MonotonicTimer()
        self._rate = Fraction(str(options.rate_hz))
        self._brain = Brain(
            options.channels, self._rate, line_hz=options.line_hz, line_uv=options.line_uv,
            noise_uv=options.noise_uv, seed=options.seed,
        )  # fmt: skip

    def stream_specs(self) -> list[StreamSpec]:
        coded = self._options.dtype == "int32"
        channels = tuple(
            Channel(site, self._options.dtype, unit="uV", scale=CODE_UV if coded else 1.0)
            for site in site_names(self._options.channels)
        )
        return [
            StreamSpec(
                name=self.name,
                kind="samples",
                channels=channels,
                sample_rate=self._rate,
                instrument=self.name,
                simulated=True,
                metadata={"line_hz": str(self._options.line_hz), "seed": str(self._options.seed)},
            )
        ]

    def run(self, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
        rows = block_rows(self._rate, self._options.block_secs)
        play([Track(sinks[self.name], self._rate, rows, self.block)], stop, self._timer)

    def block(self, first: int, rows: int) -> npt.NDArray[np.float32] | npt.NDArray[np.int32]:
        """Rows `first` to `first + rows`, [rows, channels], as they go into the stream."""
        microvolts = self._brain.rows(first, rows)
        if self._options.dtype == "float32":
            return microvolts
        codes = np.rint(microvolts / np.float32(CODE_UV))
        clipped: npt.NDArray[np.int32] = np.clip(codes, -_CODES, _CODES - 1).astype(np.int32)
        return clipped

    def settings(self) -> Settings:
        return {
            "rate_hz": {"value": self._options.rate_hz, "unit": "Hz"},
            "line_hz": {"value": self._options.line_hz, "unit": "Hz"},
            "seed": {"value": self._options.seed, "unit": ""},
        }

    def configure(self, **knobs: float) -> None:
        check_knobs(self.name, knobs, ())

    def make_safe(self) -> None:
        """Nothing to do: it only listens."""


def _build(site: Site, options: EegOptions) -> SimulatedEeg:
    return SimulatedEeg(site.name, options, site.timer)


DRIVER = Driver(SimulatedEeg, EegOptions, _build, made_up=True)
