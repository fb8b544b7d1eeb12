"""What a scan that the daemon carries out obeys: the run's pause, its stop, its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ringdaq.errors import ScriptStoppedError
from ringdaq.scripts.hold import Hold


@dataclass
class PlanControl:
    """The strings on which one scan hangs."""

    hold: Hold
    must_end: Callable[[], bool]
    raise_progress: Callable[[float], None]
    wait: Callable[[float], None]
    """Sleep so many seconds; raises at a stop."""
    region: tuple[float, float]
    """The share of the whole run that the scan is: where it begins, and how much it is."""
    closing: bool
    """Whether the script is tidying up, which no pause holds up."""
    done: float = 0.0
    """How far the scan is (0 to 1)."""

    def checkpoint(self, done: float, before_hold: Callable[[], object]) -> None:
        """Between two points: note how far it is (0 to 1), wait out a pause, raise at a stop.

        `before_hold` is called before it waits.
        """
        self.report(done)
        if self.hold.asked and not self.closing:
            self.tell()
            before_hold()
            self.hold.wait()
            self._end_if_asked()

    def report(self, done: float) -> None:
        """Note how far it is (0 to 1); raises `ScriptStoppedError` at a stop."""
        if self.must_end():
            self._end_if_asked()
        self.done = done

    def tell(self) -> None:
        """Let others see how far it is; a fast scan has no time for that at every point."""
        start, span = self.region
        if span > 0:
            self.raise_progress(start + span * self.done)

    def sleep(self, seconds: float) -> None:
        """Wait; raises `ScriptStoppedError` at a stop."""
        self.wait(seconds)

    def _end_if_asked(self) -> None:
        if self.must_end():
            raise ScriptStoppedError("the run was stopped between two points")
