"""A thread that takes frames one after another, on a schedule that does not drift."""

import threading
from collections.abc import Callable

from ringdaq.instruments.timing import Timer


class FrameLoop:
    """One free-running acquisition."""

    def __init__(
        self,
        take: Callable[[], object],
        *,
        frames: int,
        period: Callable[[], float],
        timer: Timer,
        name: str,
    ) -> None:
        self.error: Exception | None = None
        """What ended it before its time."""
        self.taken = 0
        """Frames so far."""
        self._take = take
        self._frames = frames
        self._period = period
        self._timer = timer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-frames", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether more frames will come."""
        return self._thread.is_alive() and not self._stop.is_set()

    def cancel(self) -> None:
        """End it after the frame under way, without waiting for that."""
        self._stop.set()

    def stop(self, timeout: float) -> bool:
        """End it and wait; returns whether the thread has ended."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = self._timer.now()
        try:
            while self._frames == 0 or self.taken < self._frames:
                due = max(due + self._period(), self._timer.now())
                if self._timer.wait_until_set(self._stop, due - self._timer.now()):
                    return
                self._take()
                self.taken += 1
        except Exception as error:
            # A frame that is given up because the loop was told to end is no error.
            if not self._stop.is_set():
                self.error = error
