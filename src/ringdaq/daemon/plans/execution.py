"""Carry a plan out: a tight loop on one thread, which another one watches."""

from __future__ import annotations

import threading
import time
from typing import Any

from ringdaq.daemon.emitted import EmittedStream
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.plans.plan import Control, Detector, Flight, Plan, Target
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.workers import Watch, inline
from ringdaq.errors import InstrumentTimeoutError, MissingCapabilityError

Row = dict[str, Any]
# Columns with more values than this stay in the stream and are not given back to the script.
MAX_RETURNED = 100_000
MIN_WAIT_SECS = 1e-4
_LOOK_SECS = 0.1


class Execution:
    """One plan on its way; `run` is called once."""

    def __init__(
        self,
        plan: Plan | Flight,
        *,
        control: Control,
        publisher: Publisher,
        emitted: EmittedStream,
    ) -> None:
        self._plan = plan
        self._control = control
        self._publisher, self._emitted = publisher, emitted
        self._streams = tuple({s for host in plan.hosts for s in host.streams} | {emitted.name})
        self._begun = time.monotonic()
        self._watch = Watch()
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._columns: dict[str, list[Any]] | None = {}
        self._returned = 0

    def run(self) -> dict[str, list[Any]] | None:
        """Go through all points; returns the rows by column, or `None` where they are too many.

        Raises what an instrument or the control raised; the axes are stopped then.
        """
        threading.Thread(target=self._run_here, name="plan", daemon=True).start()
        try:
            self._watch_until_done()
        finally:
            self._publisher.flush(self._streams)
        if self._error is not None:
            raise self._error
        return self._columns

    def _watch_until_done(self) -> None:
        while not self._done.wait(_LOOK_SECS):
            overdue = self._watch.overdue()
            if overdue is not None:
                self._stop_axes()
                raise overdue

    def _run_here(self) -> None:
        try:
            with inline(self._watch):
                self._carry_out()
        except BaseException as error:
            self._error = error
            self._stop_axes()
        finally:
            self._done.set()

    def _carry_out(self) -> None:
        for detector in self._plan.detectors:
            if detector.verb == "trigger":
                detector.host.perform("arm", [], {})
        if isinstance(self._plan, Flight):
            self._fly(self._plan)
        else:
            self._step(self._plan)

    def _stop_axes(self) -> None:
        axes = (self._plan.axis,) if isinstance(self._plan, Flight) else self._plan.axes
        for host in axes:
            host.stop()

    # --- point by point

    def _step(self, plan: Plan) -> None:
        total = plan.total
        before: Target = ()
        for done, target in enumerate(plan.targets):
            self._checkpoint(done / total)
            if done and plan.delay:
                self._control.sleep(plan.delay)
            self._record(self._move(plan.axes, target, before) | self._measure(plan.detectors))
            before = target
        self._checkpoint(1.0)

    def _checkpoint(self, done: float) -> None:
        if self._control.pausing:
            self._publisher.flush(self._streams)
        self._control.checkpoint(done)

    def _move(self, axes: tuple[InstrumentHost, ...], target: Target, before: Target) -> Row:
        """Start all axes that have another target, wait for all; the positions as read back."""
        for index, host in enumerate(axes):
            if not before or target[index] != before[index]:
                host.begin_move(target[index], asked=self._begun)
        return {f"{host.name}_position": host.settle() for host in axes}

    def _measure(self, detectors: tuple[Detector, ...]) -> Row:
        return {d.column: d.host.perform(d.verb, [], {}) for d in detectors}

    def _record(self, row: Row) -> None:
        if not row or self._watch.abandoned:
            return
        self._emitted.emit(row)
        if self._columns is None:
            return
        self._returned += len(row)
        if self._returned > MAX_RETURNED:
            self._columns = None
            return
        for name, value in row.items():
            self._columns.setdefault(name, []).append(value)

    # --- on the fly

    def _fly(self, flight: Flight) -> None:
        axis = flight.axis
        self._control.checkpoint(0.0)
        self._go(axis, flight.start)
        self._control.checkpoint(0.0)
        if flight.velocity is None:
            self._cross(flight)
            return
        before = self._velocity(axis)
        axis.perform("configure", [], {"velocity": flight.velocity})
        try:
            self._cross(flight)
        finally:
            axis.perform("configure", [], {"velocity": before})

    def _cross(self, flight: Flight) -> None:
        axis, length = flight.axis, abs(flight.stop - flight.start) or 1.0
        axis.begin_move(flight.stop, asked=self._begun)
        resting = False
        while not resting:
            began = time.monotonic()
            row = {f"{axis.name}_position": axis.perform("position", [], {})}
            self._record(row | self._measure(flight.detectors))
            self._control.report(
                min(1.0, abs(row[f"{axis.name}_position"] - flight.start) / length)
            )
            spent = time.monotonic() - began
            resting = _rests(axis, max(MIN_WAIT_SECS, flight.period - spent))
        self._record({f"{axis.name}_position": axis.settle()} | self._measure(flight.detectors))
        self._control.report(1.0)

    def _velocity(self, axis: InstrumentHost) -> Any:
        knob = axis.perform("settings", [], {}).get("velocity")
        if knob is None:
            raise MissingCapabilityError(
                f"{axis.name} has no velocity to set; leave velocity out", instrument=axis.name
            )
        return knob["value"]

    def _go(self, axis: InstrumentHost, target: float) -> None:
        axis.begin_move(target, asked=self._begun)
        axis.settle()


def _rests(axis: InstrumentHost, seconds: float) -> bool:
    """Wait for rest so long at most; returns whether it rests."""
    try:
        axis.perform("wait_settled", [seconds], {})
    except InstrumentTimeoutError:
        return False
    return True
