"""Sixteen bytes that a script's process and its parent share: line, stop, progress.

The parent knows the exact line at any moment, even of a script that hangs in one long C call or
was killed, and a script that computes without verbs sees a stop; no message has to carry them.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os

_BYTES = 16
_F_ADD_SEALS = 1033
_F_SEAL_SEAL, _F_SEAL_SHRINK, _F_SEAL_GROW = 1, 2, 4


LINE, STOP = 0, 1
"""Where they lie in `Page.words`."""
PROGRESS = 1
"""Where it lies in `Page.fractions`."""
GO_ON, STOP_ASKED, WALL_LIMIT = 0, 1, 2
"""What the parent writes into `words[STOP]`."""


class Page:
    """The shared bytes, mapped: line and stop as one u32 each, then the progress as one f64."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _BYTES)
        self._view = memoryview(self._map)
        self.words = self._view.cast("I")
        """The line is 0 before the first."""
        self.fractions = self._view.cast("d")
        """The progress goes from 0 to 1, and is below 0 where nobody knows."""

    @property
    def line(self) -> int:
        """The current line, as the script's process wrote it."""
        return self.words[LINE]

    @property
    def fraction(self) -> float | None:
        """The progress, or `None` where it is unknown or no such number."""
        value = self.fractions[PROGRESS]
        return value if math.isfinite(value) and 0.0 <= value <= 1.0 else None

    def close(self) -> None:
        """Unmap; the values are out of reach then."""
        for view in (self.words, self.fractions, self._view):
            view.release()
        self._map.close()


def create_page() -> tuple[int, Page]:
    """A new page and the descriptor to map it by; sealed, so that nobody can shrink it."""
    descriptor = os.memfd_create("ringdaq-run", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, _BYTES)
        fcntl.fcntl(descriptor, _F_ADD_SEALS, _F_SEAL_SEAL | _F_SEAL_SHRINK | _F_SEAL_GROW)
        page = Page(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    page.fractions[PROGRESS] = -1.0
    return descriptor, page
