"""Where a paused run is held: between two verbs, or between two points of a scan."""

from __future__ import annotations

import threading
import time


class Hold:
    """Open until `pause`; any thread may call."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.asked = False
        """Whether a pause was asked for; for others to read only."""
        self._waiting = False
        self._released = False
        self.held_secs = 0.0
        """How long the run was held in all, this time not counted."""

    @property
    def holds(self) -> bool:
        """Whether the run waits here now."""
        return self._waiting

    def pause(self) -> None:
        """Hold whoever comes from now on."""
        with self._changed:
            self.asked = not self._released
            self._changed.notify_all()

    def resume(self) -> None:
        """Let go."""
        with self._changed:
            self.asked = False
            self._changed.notify_all()

    def release(self) -> None:
        """Let go for good: the run ends."""
        with self._changed:
            self._released, self.asked = True, False
            self._changed.notify_all()

    def wait(self) -> None:
        """Come through, at once or as soon as somebody lets go."""
        if not self.asked:
            return
        with self._changed:
            since = time.monotonic()
            self._waiting = self.asked
            self._changed.wait_for(lambda: not self.asked)
            self._waiting = False
            self.held_secs += time.monotonic() - since
