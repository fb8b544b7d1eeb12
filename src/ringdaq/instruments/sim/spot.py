"""The picture of a spot of light on a sensor, with the noise of counting photons."""

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint16]


class Spot:
    """Renders a round spot; the same seed and the same calls give the same pictures."""

    def __init__(self, width: int, height: int, *, seed: int) -> None:
        self._x = np.arange(width, dtype=np.float64)
        self._y = np.arange(height, dtype=np.float64)
        self._random = np.random.default_rng(seed)

    def render(self, x: float, y: float, sigma: float, *, peak: float, background: float) -> Image:
        """A picture [height, width] of counts with a spot at pixel (x, y)."""
        across = np.exp(-((self._x - x) ** 2) / (2 * sigma**2))
        down = np.exp(-((self._y - y) ** 2) / (2 * sigma**2))
        expected = background + peak * np.outer(down, across)
        counts = self._random.poisson(expected)
        return np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)
