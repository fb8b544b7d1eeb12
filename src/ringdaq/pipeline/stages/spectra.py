"""What frequencies packets are made of."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ringdaq.config import Bounds
from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.stages.filters import below_nyquist
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts

BANDS = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""The classic bands of the EEG, in hertz."""


def power_of_two(value: Any) -> Any:
    """Refuse a length that the transform cannot have."""
    if isinstance(value, int) and (value < 2 or value & (value - 1) or value > 2**20):
        raise ValueError(f"a length must be a power of two, up to 1048576; found {value}")
    return value


Length = Annotated[int, BeforeValidator(power_of_two)]


class Rfft(Transform):
    """The spectrum of each stretch as long as a full packet, whatever the packets.

    Its time is its first sample's. A gap begins a new stretch: `cut_samples` counts the samples
    before it that have no spectrum, `waiting_samples` those that wait for the rest.
    """

    length: Length | None = None
    """Numbers to transform, zeros behind the stretch; without it the next power of two."""
    window: Literal["hann", "none"] = "hann"
    """What the stretch is weighted with."""
    output: Literal["complex", "magnitude", "power"] = "complex"
    """Two rows a frequency (real, imaginary), or one."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `rfft`."""
        need_volts(given)
        length = self.length or 1 << (given.samples - 1).bit_length()
        if length < given.samples:
            raise RefusedError(
                f"a length of {length} does not hold packets of {given.samples} samples", "length"
            )
        parameters: dict[str, Any] = {
            "length": length,
            "samples": given.samples,
            "output": self.output,
        }
        if self.window == "none":
            parameters["window"] = [1.0] * given.samples
        rows = frequencies(length, given.rate)
        if self.output == "complex":
            rows = tuple(f"{row} {part}" for row in rows for part in ("re", "im"))
        power = "²" if self.output == "power" else ""
        output = spectrum(given, rows, power, 1 / given.period)
        return Planned((CoreStage("rfft", parameters),), output)


class Averaged(Transform):
    """Spectra of overlapping segments, averaged; packets of any size may come."""

    segment: Length | None = None
    """Samples of a segment; without it as many as make the bins 1 Hz wide, or less."""
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Of a segment with the next."""
    averages: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Segments of a result; without it as many as give one a second, or fewer."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `welch`."""
        need_volts(given)
        segment = self._segment(given)
        step = max(1, round(segment * (1 - self.overlap)))
        fewest = -(-given.samples // step)
        averages = self.averages or max(fewest, int(given.rate / step), 1)
        if averages < fewest:
            raise RefusedError(
                f"a result must not be shorter than a packet of {given.samples} samples; "
                f"write averages of at least {fewest}",
                "averages",
            )
        rows, bands, unit = self._rows(given, segment)
        parameters: dict[str, Any] = {"segment": segment, "step": step, "averages": averages}
        if bands:
            parameters["bands"] = bands
        if given.epochs:
            parameters["epochs"] = 1
        output = spectrum(given, rows, unit, given.rate / (step * averages))
        return Planned((CoreStage("welch", parameters),), output)

    def _segment(self, given: PacketFormat) -> int:
        """Samples of a segment, which an epoch must hold."""
        hertz_wide = 1 << (math.ceil(given.rate) - 1).bit_length()
        if not given.epochs:
            return self.segment or hertz_wide
        longest = 1 << (given.samples.bit_length() - 1)
        if self.segment and self.segment > longest:
            raise RefusedError(
                f"a segment of {self.segment} samples is longer than an epoch of {given.samples}",
                "segment",
            )
        return self.segment or min(hertz_wide, longest)

    @abstractmethod
    def _rows(self, given: PacketFormat, segment: int) -> tuple[tuple[str, ...], list[float], str]:
        """What the rows are, the edges of bands if they are bands, and what becomes of the unit."""


class Welch(Averaged):
    """Power densities by Welch's method, with Hann windows and each segment's mean taken away.

    A result has the time of its first segment's first sample. A gap begins a new one: `cut_samples`
    counts the samples before it that are in none, `waiting_samples` those that wait for one. Of
    epochs, whole segments are averaged, though they are apart.
    """

    def _rows(self, given: PacketFormat, segment: int) -> tuple[tuple[str, ...], list[float], str]:
        return frequencies(segment, given.rate), [], "²/Hz"


class BandPower(Averaged):
    """The power in bands, from Welch's densities; times and gaps are as of `welch`."""

    bands: Annotated[dict[str, Bounds], Field(min_length=1)] = BANDS
    """From and to in hertz, by name; the first edge belongs to the band, the last does not."""

    def _rows(self, given: PacketFormat, segment: int) -> tuple[tuple[str, ...], list[float], str]:
        width = float(given.rate) / segment
        for name, (low, high) in self.bands.items():
            if low < 0:
                raise RefusedError(f"band {name!r} begins below 0 Hz; found {low:g}", "bands")
            below_nyquist(high, float(given.rate), "bands")
            if math.ceil(low / width) * width >= high:
                raise RefusedError(
                    f"band {name!r} from {low:g} to {high:g} Hz holds no frequency of a segment "
                    f"of {segment} samples, which are {width:g} Hz apart; write a longer segment",
                    "bands",
                )
        edges = [edge for band in self.bands.values() for edge in band]
        return tuple(self.bands), edges, "²"


def frequencies(length: int, rate: Fraction) -> tuple[str, ...]:
    """The frequencies of a transform, written out."""
    return tuple(f"{float(rate * place / length):.6g} Hz" for place in range(length // 2 + 1))


def spectrum(
    given: PacketFormat, rows: tuple[str, ...], power: str, packet_rate: Fraction
) -> PacketFormat:
    """The form of packets whose rows are no moments; `power` goes behind the unit."""
    channels = tuple(Channel(c.name, "float32", f"{c.unit}{power}") for c in given.channels)
    return replace(
        given,
        kind="fft",
        channels=channels,
        samples=len(rows),
        rows=rows,
        packet_rate=packet_rate,
    )
