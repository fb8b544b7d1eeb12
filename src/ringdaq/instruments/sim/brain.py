"""Voltages as a scalp has them: bands of rhythm mixed by site, hum from the mains, and noise.

Every band is a loop of noise made once; each channel reads it from a place of its own. The loops'
lengths are different primes, so the whole repeats itself only after longer than anybody records,
and making a block is looking things up. A sample depends on its number and the seed alone.
"""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

SITES = (
    "Fp1", "Fp2", "AF3", "AF4", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6",
    "T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8",
    "PO3", "PO4", "O1", "Oz", "O2",
)  # fmt: skip

# name: lowest Hz, highest Hz, RMS in uV, seconds of the loop
_BANDS = {
    "delta": (0.5, 4.0, 15.0, 16.0),
    "theta": (4.0, 8.0, 8.0, 14.0),
    "alpha": (8.0, 13.0, 10.0, 12.0),
    "beta": (13.0, 30.0, 4.0, 10.0),
    "gamma": (30.0, 45.0, 1.5, 8.0),
}
_FRONT = {"delta": 1.6, "theta": 1.3, "alpha": 0.5}
_BACK = {"delta": 0.7, "alpha": 2.2}
_NOISE_SECS = 18.0

Loop = npt.NDArray[np.float32]


def site_names(channels: int) -> list[str]:
    """Names of the 10-20 system, then numbers."""
    return [*SITES[:channels], *(f"E{n + 1}" for n in range(len(SITES), channels))]


class Brain:
    """Makes rows [rows, channels] in microvolts."""

    def __init__(
        self, channels: int, rate: Fraction, *, line_hz: float, line_uv: float,
        noise_uv: float, seed: int,
    ) -> None:  # fmt: skip
        random = np.random.default_rng(seed)
        sites = site_names(channels)
        self._loops: list[tuple[Loop, npt.NDArray[np.int64], Loop]] = []
        length = 0
        for name, (low, high, rms, secs) in _BANDS.items():
            length = prime_from(max(3, int(rate * Fraction(secs))))
            loop = _band(random, length, float(rate), low, high)
            weights = np.array([rms * _share(site, name) for site in sites], np.float32)
            self._add(random, loop, weights)
        length = prime_from(max(length + 1, int(rate * Fraction(_NOISE_SECS))))
        white = random.standard_normal(length).astype(np.float32)
        self._add(random, white, np.full(channels, noise_uv, np.float32))
        self._line_turns = Fraction(str(line_hz)) / rate
        self._line = (line_uv * random.uniform(0.5, 1.5, channels)).astype(np.float32)

    def _add(self, random: np.random.Generator, loop: Loop, weights: Loop) -> None:
        starts = random.integers(0, len(loop), len(weights))
        self._loops.append((loop, starts, weights))

    def rows(self, first: int, rows: int) -> npt.NDArray[np.float32]:
        """Rows `first` to `first + rows`."""
        numbers = np.arange(first, first + rows, dtype=np.int64)
        # Whole turns are taken away in integers, so that the phase is exact for ever.
        turns = self._line_turns
        phase = (numbers * turns.numerator % turns.denominator) / turns.denominator
        out = np.outer(np.sin(2 * math.pi * phase).astype(np.float32), self._line)
        for loop, starts, weights in self._loops:
            places = numbers[:, None] + starts
            out += loop[places % len(loop)] * weights
        return out


def _share(site: str, band: str) -> float:
    if site.startswith(("Fp", "AF", "F")):
        return _FRONT.get(band, 1.0)
    return _BACK.get(band, 1.0) if site.startswith(("P", "O")) else 1.0


def _band(random: np.random.Generator, length: int, rate: float, low: float, high: float) -> Loop:
    """Noise of RMS 1 within a band; silence where the band lies above half the rate."""
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    inside = (frequencies >= low) & (frequencies < high)
    spectrum = np.zeros(len(frequencies), np.complex128)
    count = int(inside.sum())
    spectrum[inside] = random.standard_normal(count) + 1j * random.standard_normal(count)
    loop = np.fft.irfft(spectrum, length)
    rms = float(np.sqrt(np.mean(loop**2)))
    return (loop / rms if rms > 0 else loop).astype(np.float32)


def prime_from(number: int) -> int:
    """The first prime that is not below a number."""
    while any(number % d == 0 for d in range(2, math.isqrt(number) + 1)):
        number += 1
    return number
