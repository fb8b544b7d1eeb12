"""What a script reaches in a dry run: the twin, and a clock that it turns itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.plans import shape
from ringdaq.daemon.twin.plan import TwinExecution
from ringdaq.daemon.twin.rig import TwinRig
from ringdaq.daemon.workers import Watch, inline
from ringdaq.errors import LimitError, RingdaqError, ScriptStoppedError
from ringdaq.scripts import PlanControl

MAX_VIOLATIONS = 100
Violation = dict[str, Any]


class TwinHost:
    """A `ScriptHost` that takes virtual time."""

    def __init__(
        self,
        twin: TwinRig,
        hosts: Mapping[str, InstrumentHost],
        *,
        wall_secs: float,
        line_now: Callable[[], int],
    ) -> None:
        self._twin, self._hosts = twin, hosts
        self._wall_secs, self._line_now = wall_secs, line_now
        self._watch = Watch()
        self.verbs = 0
        self.violations: list[Violation] = []
        self.overtime_line: int | None = None
        """Where the run's wall time was used up, if it was."""

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Carry out a verb of the twin."""
        host = self._hosts[instrument]
        return self._at_once(lambda: host.call(verb, args, kwargs, who="dry run"))

    def plan(
        self, name: str, args: list[Any], kwargs: dict[str, Any], control: PlanControl
    ) -> object:
        """Carry a scan out on the twin."""

        def carry_out() -> object:
            found = shape(name, args, kwargs, self._hosts)
            counts, timer = self._twin.counts, self._twin.timer
            control_ = _Timed(control, self._check_wall)
            return TwinExecution(found, control=control_, counts=counts, timer=timer).run()

        return self._at_once(carry_out)

    def _at_once(self, carry_out: Callable[[], Any]) -> Any:
        """On this thread, in virtual time; what lies beyond limits is noted with its line."""
        self.verbs += 1
        self._twin.timer.adopt()
        try:
            with inline(self._watch):
                return carry_out()
        except RingdaqError as error:
            self._note(error)
            raise
        finally:
            self._check_wall()

    def _note(self, error: RingdaqError) -> None:
        if isinstance(error, LimitError) and len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(
                {
                    "line": self._line_now(),
                    "instrument": error.instrument,
                    "message": str(error),
                }
            )

    def emit(self, values: dict[str, Any]) -> None:
        """Count a row."""
        self._twin.counts.emit(values)

    def output(self, text: str, level: str, line: int) -> None:
        """The process keeps the end of it."""

    def sleep(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        self._twin.timer.advance(seconds)
        self._check_wall()

    def _check_wall(self) -> None:
        if self._twin.timer.now() <= self._wall_secs:
            return
        if self.overtime_line is None:
            self.overtime_line = self._line_now()
        raise ScriptStoppedError("the run's wall time is used up")


class _Timed:
    """A plan's control that keeps the virtual wall time, too."""

    def __init__(self, control: PlanControl, check: Callable[[], None]) -> None:
        self._control, self._check = control, check

    def checkpoint(self, done: float, before_hold: Callable[[], object]) -> None:
        """Between two points."""
        self._check()
        self._control.checkpoint(done, before_hold)

    def report(self, done: float) -> None:
        """During a motion."""
        self._check()
        self._control.report(done)

    def tell(self) -> None:
        """Let others see how far it is."""
        self._control.tell()

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._control.sleep(seconds)
