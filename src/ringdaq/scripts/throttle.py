"""How many verbs a second a script may have carried out; what comes quicker waits."""

from __future__ import annotations

import threading
import time

SLACK_SECS = 10.0
"""So many seconds' worth of verbs may come at once, so that a short scan never waits."""


class Throttle:
    """One thread waits; any may release it."""

    def __init__(self, per_sec: float) -> None:
        self._gap = 1.0 / per_sec
        # When the verb would have come that just keeps the rate; in front of now by the slack.
        self._due = -float("inf")
        self._released = threading.Event()
        self.waited_secs = 0.0
        """In all."""

    def wait(self) -> bool:
        """Come through at once, or as soon as the rate allows; whether it is the first to wait."""
        now = time.monotonic()
        self._due = max(self._due, now - SLACK_SECS) + self._gap
        if self._due <= now:
            return False
        first = self.waited_secs == 0.0
        self._released.wait(self._due - now)
        self.waited_secs += time.monotonic() - now
        return first

    def release(self) -> None:
        """Let go for good: the run ends."""
        self._released.set()
