"""Carry a scan out on a twin, in virtual time."""

from __future__ import annotations

import time
from typing import Any

from ringdaq.daemon.instruments import WANTED_SINCE, InstrumentHost
from ringdaq.daemon.plans.execution import MAX_RETURNED, MIN_WAIT_SECS
from ringdaq.daemon.plans.plan import Control, Detector, Flight, Plan, Target
from ringdaq.daemon.twin.counts import Counts
from ringdaq.errors import InstrumentTimeoutError
from ringdaq.instruments.sim.virtual_time import VirtualTimer

Row = dict[str, Any]


class TwinExecution:
    """One plan; `run` is called once, on the thread that turns the clock."""

    def __init__(
        self, plan: Plan | Flight, *, control: Control, counts: Counts, timer: VirtualTimer
    ) -> None:
        self._plan, self._control, self._counts, self._timer = plan, control, counts, timer
        self._columns: dict[str, list[Any]] | None = {}
        self._returned = 0
        self._velocity_before: Any = None

    def run(self) -> dict[str, list[Any]] | None:
        """Go through all points; returns the rows by column, or `None` where they are too many."""
        WANTED_SINCE.set(time.monotonic())
        try:
            self._carry_out()
        except BaseException:
            self._stop_axes()
            raise
        finally:
            self._put_back()
        self._control.tell()
        return self._columns

    def _stop_axes(self) -> None:
        plan = self._plan
        for host in (plan.axis,) if isinstance(plan, Flight) else plan.axes:
            host.stop()

    def _put_back(self) -> None:
        if self._velocity_before is not None and isinstance(self._plan, Flight):
            WANTED_SINCE.set(time.monotonic())  # after a stop, too
            self._plan.axis.perform("configure", [], {"velocity": self._velocity_before})

    def _carry_out(self) -> None:
        for detector in self._plan.detectors:
            if detector.verb == "trigger":
                detector.host.perform("arm", [], {})
        if isinstance(self._plan, Flight):
            self._fly(self._plan)
        else:
            self._step(self._plan)

    def _step(self, plan: Plan) -> None:
        before: Target = ()
        for done, target in enumerate(plan.targets):
            if done >= plan.total:
                break
            self._control.checkpoint(done / plan.total, list)
            if done and plan.delay:
                self._control.sleep(plan.delay)
            self._record(self._move(plan.axes, target, before) | self._measure(plan.detectors))
            before = target
        self._control.checkpoint(1.0, list)

    def _move(self, axes: tuple[InstrumentHost, ...], target: Target, before: Target) -> Row:
        for index, host in enumerate(axes):
            if not before or target[index] != before[index]:
                host.beginning(asked=time.monotonic())(target[index])
        return {f"{host.name}_position": host.settling()() for host in axes}

    def _fly(self, flight: Flight) -> None:
        axis = flight.axis
        self._control.checkpoint(0.0, list)
        self._move((axis,), (flight.start,), ())
        if flight.velocity is not None:
            self._velocity_before = axis.perform("settings", [], {})["velocity"]["value"]
            axis.perform("configure", [], {"velocity": flight.velocity})
        axis.beginning(asked=time.monotonic())(flight.stop)
        while not self._rests_after_a_row(flight):
            self._control.report(0.0)
        self._record({f"{axis.name}_position": axis.settling()()} | self._measure(flight.detectors))
        self._control.report(1.0)

    def _rests_after_a_row(self, flight: Flight) -> bool:
        """Take a row, then let the rest of its period pass."""
        began = self._timer.now()
        here = {f"{flight.axis.name}_position": flight.axis.perform("position", [], {})}
        self._record(here | self._measure(flight.detectors))
        left = flight.period - (self._timer.now() - began)
        try:
            flight.axis.perform("wait_settled", [max(left, MIN_WAIT_SECS)], {})
        except InstrumentTimeoutError:
            return False
        return True

    def _measure(self, detectors: tuple[Detector, ...]) -> Row:
        return {d.column: d.host.perform(d.verb, [], {}) for d in detectors}

    def _record(self, row: Row) -> None:
        if not row:
            return
        self._counts.emit(row)
        self._returned += len(row)
        if self._columns is None or self._returned > MAX_RETURNED:
            self._columns = None
            return
        for name, value in row.items():
            self._columns.setdefault(name, []).append(value)
