"""Time that passes as soon as somebody waits for it."""

import threading


class VirtualTimer:
    """A timer for one thread, the one that last called `adopt`; its waits take no time.

    Other threads wait in real time, so that what they do on the side does not turn the clock.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._owner = threading.get_ident()

    def adopt(self) -> None:
        """The calling thread turns the clock from now on."""
        self._owner = threading.get_ident()

    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += max(0.0, seconds)

    def wait_for(self, changed: threading.Condition, seconds: float) -> None:
        """Wait on a condition that the caller holds; nobody notifies it meanwhile."""
        if threading.get_ident() == self._owner:
            self.advance(seconds)
        else:
            changed.wait(max(0.0, seconds))

    def wait_until_set(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event that nobody sets meanwhile."""
        if threading.get_ident() != self._owner:
            return event.wait(max(0.0, seconds))
        if not event.is_set():
            self.advance(seconds)
        return event.is_set()
