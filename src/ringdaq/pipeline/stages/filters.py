"""Filters by their frequencies, designed by scipy as second-order sections."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.transform import CoreStage, Planned, Transform, need_volts

Positive = Annotated[float, Field(gt=0)]
Order = Annotated[int, Field(ge=1, le=16)]
Sos = list[list[float]]


class SosFilter(Transform):
    """A filter in second-order sections whose state goes on from packet to packet."""

    state: Literal["f64", "f32"] = "f64"
    """What it computes in: `f64` is exact to 1e-7, `f32` faster, and coarse below 1 Hz."""

    @abstractmethod
    def sections(self, rate: float) -> Sos:
        """Rows of b0, b1, b2, a0, a1, a2 for a rate in hertz."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `sos`."""
        need_volts(given)
        sos = stable(self.sections(float(given.rate)))
        parameters = {"sos": sos, "state": self.state}
        return Planned((CoreStage("sos", parameters),), replace(given, kind="filtered"))


class Designed(SosFilter):
    """A filter of one of the classic families."""

    order: Order = 4
    """Of the design; a band-pass has twice as many poles."""
    family: Literal["butterworth", "chebyshev1", "chebyshev2", "bessel"] = "butterworth"
    """Flat, steep with ripple in the band, steep with ripple outside, or least ringing."""
    ripple_db: Positive = 1.0
    """In the band, of `chebyshev1`."""
    attenuation_db: Positive = 40.0
    """Outside the band, of `chebyshev2`."""

    def design(self, edges: Any, kind: str, rate: float) -> Sos:
        """Sections of the family."""
        from scipy import signal

        options: dict[str, Any] = {"btype": kind, "fs": rate, "output": "sos"}
        if self.family == "chebyshev1":
            found = signal.cheby1(self.order, self.ripple_db, edges, **options)
        elif self.family == "chebyshev2":
            found = signal.cheby2(self.order, self.attenuation_db, edges, **options)
        elif self.family == "bessel":
            found = signal.bessel(self.order, edges, norm="phase", **options)
        else:
            found = signal.butter(self.order, edges, **options)
        return to_rows(found)


class Highpass(Designed):
    """Takes away what lies below a frequency."""

    cutoff_hz: Positive
    """Where it begins."""

    def sections(self, rate: float) -> Sos:
        """Sections for a rate."""
        below_nyquist(self.cutoff_hz, rate, "cutoff_hz")
        return self.design(self.cutoff_hz, "highpass", rate)


class Lowpass(Designed):
    """Takes away what lies above a frequency."""

    cutoff_hz: Positive
    """Where it ends."""

    def sections(self, rate: float) -> Sos:
        """Sections for a rate."""
        below_nyquist(self.cutoff_hz, rate, "cutoff_hz")
        return self.design(self.cutoff_hz, "lowpass", rate)


class Bandpass(Designed):
    """Keeps what lies between two frequencies."""

    low_hz: Positive
    """Where it begins."""
    high_hz: Positive
    """Where it ends."""

    def sections(self, rate: float) -> Sos:
        """Sections for a rate."""
        if self.low_hz >= self.high_hz:
            raise RefusedError(
                f"low_hz must lie below high_hz; found {self.low_hz:g} and {self.high_hz:g} Hz",
                "low_hz",
            )
        below_nyquist(self.high_hz, rate, "high_hz")
        return self.design([self.low_hz, self.high_hz], "bandpass", rate)


class Notch(SosFilter):
    """Takes away one frequency, such as the mains'."""

    frequency_hz: Positive = 50.0
    """Of what is taken away."""
    quality: Positive = 30.0
    """The frequency over the width at half power."""
    harmonics: Annotated[int, Field(ge=1, le=20)] = 1
    """How many of its multiples go, itself included; each costs a section."""

    def sections(self, rate: float) -> Sos:
        """Sections for a rate."""
        from scipy import signal

        rows: Sos = []
        for times in range(1, self.harmonics + 1):
            frequency = times * self.frequency_hz
            below_nyquist(frequency, rate, "frequency_hz" if times == 1 else "harmonics")
            # The same width in hertz at each multiple.
            design = signal.iirnotch(frequency, self.quality * times, fs=rate)
            rows += to_rows(signal.tf2sos(*design))
        return rows


class Sections(SosFilter):
    """Second-order sections as they are written, such as scipy's `output="sos"`."""

    sos: Annotated[
        list[Annotated[list[float], Field(min_length=6, max_length=6)]], Field(min_length=1)
    ]
    """Rows of b0, b1, b2, a0, a1, a2."""

    def sections(self, rate: float) -> Sos:  # noqa: ARG002
        """The rows as they are."""
        return self.sos


class Envelope(Transform):
    """The strength of an oscillation: its absolute value, smoothed by a Butterworth low-pass."""

    cutoff_hz: Positive
    """Of the low-pass."""
    order: Order = 2
    """Of the low-pass."""
    state: Literal["f64", "f32"] = "f64"
    """What it computes in."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `envelope`."""
        from scipy import signal

        need_volts(given)
        rate = float(given.rate)
        below_nyquist(self.cutoff_hz, rate, "cutoff_hz")
        sos = stable(to_rows(signal.butter(self.order, self.cutoff_hz, fs=rate, output="sos")))
        parameters = {"sos": sos, "state": self.state}
        return Planned((CoreStage("envelope", parameters),), replace(given, kind="filtered"))


def below_nyquist(frequency: float, rate: float, key: str) -> None:
    """Refuse a frequency that the rate cannot carry."""
    if frequency >= rate / 2:
        raise RefusedError(
            f"{frequency:g} Hz is not below half the rate of {rate:g} Hz, "
            f"above which there is nothing",
            key,
        )


def stable(sos: Sos) -> Sos:
    """Refuse sections whose output grows without end, such as of a cutoff next to 0 Hz."""
    for place, row in enumerate(sos):
        a0, a1, a2 = row[3:]
        inside = a0 != 0 and abs(a2 / a0) <= 1 and abs(a1 / a0) <= 1 + a2 / a0
        if not inside or not all(map(math.isfinite, row)):
            numbers = ", ".join(f"{number:.6g}" for number in row)
            raise RefusedError(
                f"section {place} is not stable, its poles must lie within the unit circle; "
                f"found {numbers}"
            )
    return sos


def to_rows(sos: Any) -> Sos:
    """An array of sections as plain numbers."""
    return [[float(number) for number in row] for row in sos]
