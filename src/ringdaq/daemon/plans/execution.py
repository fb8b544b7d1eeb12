"""Carry a plan out: a tight loop on one thread, which another one watches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ringdaq.daemon.emitted import EmittedStream
from ringdaq.daemon.instruments import WANTED_SINCE, InstrumentHost
from ringdaq.daemon.plans.plan import Control, Flight, Plan, Target
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.safety import stop_all
from ringdaq.daemon.workers import Watch, inline
from ringdaq.errors import InstrumentTimeoutError, MissingCapabilityError

log = logging.getLogger(__name__)

# Columns with more values than this stay in the stream and are not given back to the script.
MAX_RETURNED = 100_000
MIN_WAIT_SECS = 1e-4
_LOOK_SECS = 0.1


class Execution:
    """One plan on its way; `run` is called once.

    `begun` is since when it is wanted, in monotonic seconds: an instrument that was stopped since
    then is not commanded.
    """

    def __init__(
        self,
        plan: Plan | Flight,
        *,
        begun: float,
        control: Control,
        publisher: Publisher,
        emitted: EmittedStream,
    ) -> None:
        self._plan = plan
        self._control = control
        self._publisher, self._emitted = publisher, emitted
        self._streams = tuple({s for host in plan.hosts for s in host.streams} | {emitted.name})
        self._begun = begun
        self._watch = Watch()
        self._done = threading.Event()
        self._error: BaseException | None = None
        axes = (plan.axis,) if isinstance(plan, Flight) else plan.axes
        self._axes = axes
        self._names = (*(f"{a.name}_position" for a in axes), *(d.column for d in plan.detectors))
        readings = [d.host.reading(d.verb) for d in plan.detectors]
        self._begins = [a.beginning(asked=self._begun) for a in axes]
        self._settled = [*(a.settling() for a in axes), *readings]
        self._passing = [*(a.reading("position") for a in axes), *readings]
        self._rows: list[tuple[Any, ...]] | None = []
        self._velocity_before: Any = None

    def run(self) -> dict[str, list[Any]] | None:
        """Go through all points; returns the rows by column, or `None` where they are too many.

        Raises what an instrument or the control raised; the axes are stopped then.
        """
        threading.Thread(target=self._run_here, name="plan", daemon=True).start()
        try:
            self._watch_until_done()
        finally:
            self._flush()
            self._control.tell()
        if self._error is not None:
            raise self._error
        return self._columns()

    def _watch_until_done(self) -> None:
        while not self._done.wait(_LOOK_SECS):
            self._control.tell()
            overdue = self._watch.overdue()
            if overdue is not None:
                self._leave(failed=True)
                raise overdue

    def _run_here(self) -> None:
        try:
            with inline(self._watch):
                self._carry_out()
        except BaseException as error:
            self._error = error
        finally:
            if not self._watch.abandoned:
                self._leave(failed=self._error is not None)
            self._done.set()

    def _leave(self, *, failed: bool) -> None:
        """Stop the axes of a plan that failed, and put back what it had set."""
        if failed:
            for name, how in stop_all(self._axes).items():
                if how != "stopped":
                    log.error("%s was to be stopped, as its scan failed: %s", name, how)
        before, self._velocity_before = self._velocity_before, None
        if before is None:
            return
        WANTED_SINCE.set(time.monotonic())  # after a stop, too
        try:
            self._axes[0].perform("configure", [], {"velocity": before})
        except Exception as error:
            log.error("%s does not have its velocity back: %s", self._axes[0].name, error)

    def _carry_out(self) -> None:
        WANTED_SINCE.set(self._begun)
        for detector in self._plan.detectors:
            if detector.verb == "trigger":
                detector.host.perform("arm", [], {})
        if isinstance(self._plan, Flight):
            self._fly(self._plan)
        else:
            self._step(self._plan)

    # --- point by point

    def _step(self, plan: Plan) -> None:
        total = plan.total
        before: Target = ()
        for done, target in enumerate(plan.targets):
            self._control.checkpoint(done / total, self._flush)
            if done and plan.delay:
                self._control.sleep(plan.delay)
            self._move(target, before)
            self._record(self._settled)
            before = target
        self._control.checkpoint(1.0, self._flush)

    def _flush(self) -> None:
        """Let the rows so far be seen."""
        self._publisher.flush(self._streams)

    def _move(self, target: Target, before: Target) -> None:
        """Start all axes that have another target."""
        for index, begin in enumerate(self._begins):
            if not before or target[index] != before[index]:
                begin(target[index])

    def _record(self, readings: Iterable[Callable[[], Any]]) -> tuple[Any, ...]:
        """Read in this order, and write the row of a point; returns the row."""
        row = tuple([read() for read in readings])
        if row and not self._watch.abandoned:
            self._write(row)
        return row

    def _write(self, row: tuple[Any, ...]) -> None:
        self._emitted.put(self._names, row)
        if self._rows is None:
            return
        self._rows.append(row)
        if len(self._rows) * len(row) > MAX_RETURNED:
            self._rows = None

    def _columns(self) -> dict[str, list[Any]] | None:
        if self._rows is None:
            return None
        return dict(zip(self._names, map(list, zip(*self._rows, strict=True)), strict=False))

    # --- on the fly

    def _fly(self, flight: Flight) -> None:
        axis = flight.axis
        self._control.checkpoint(0.0, self._flush)
        self._begins[0](flight.start)
        self._settled[0]()
        self._control.checkpoint(0.0, self._flush)
        if flight.velocity is None:
            self._cross(flight)
            return
        self._velocity_before = self._velocity(axis)
        axis.perform("configure", [], {"velocity": flight.velocity})
        self._cross(flight)

    def _cross(self, flight: Flight) -> None:
        axis, length = flight.axis, abs(flight.stop - flight.start) or 1.0
        self._begins[0](flight.stop)
        resting = False
        while not resting:
            began = time.monotonic()
            here = self._record(self._passing)[0]
            self._control.report(min(1.0, abs(here - flight.start) / length))
            spent = time.monotonic() - began
            resting = _rests(axis, max(MIN_WAIT_SECS, flight.period - spent))
        self._record(self._settled)
        self._control.report(1.0)

    def _velocity(self, axis: InstrumentHost) -> Any:
        knob = axis.perform("settings", [], {}).get("velocity")
        if knob is None:
            raise MissingCapabilityError(
                f"{axis.name} has no velocity to set; leave velocity out", instrument=axis.name
            )
        return knob["value"]


def _rests(axis: InstrumentHost, seconds: float) -> bool:
    """Wait for rest so long at most; returns whether it rests."""
    try:
        axis.perform("wait_settled", [seconds], {})
    except InstrumentTimeoutError:
        return False
    return True
