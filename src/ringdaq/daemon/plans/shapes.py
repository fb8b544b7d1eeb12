"""From what a script says to a plan: every argument and every target is checked here."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.plans.plan import (
    Detector,
    Flight,
    Plan,
    Target,
    axis,
    check_total,
    count_of,
    detector,
    distinct,
)
from ringdaq.daemon.safety import check_number
from ringdaq.errors import BadRequestError, GrantError
from ringdaq.instruments.timing import positive

MIN_PERIOD_SECS = 0.001


def shape(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], hosts: Mapping[str, InstrumentHost]
) -> Plan | Flight:
    """The plan that a script asks for; instruments stand in `args` and `kwargs` by their names.

    Raises before anything moves: `BadRequestError`, `GrantError`, `MissingCapabilityError`,
    or `LimitError` for the first target beyond limits.
    """
    maker = _SHAPES.get(name)
    if maker is None:
        raise BadRequestError(f"there is no plan {name!r}; there are: {', '.join(_SHAPES)}")
    shapes = _Shapes(hosts)
    try:
        bound = inspect.signature(maker).bind(shapes, *args, **kwargs)
    except TypeError as error:
        raise BadRequestError(f"{name} was called with wrong arguments: {error}") from None
    return maker(*bound.args, **bound.kwargs)


def spread(start: float, stop: float, points: int) -> list[float]:
    """Evenly spaced positions, the ends exactly as asked."""
    if points == 1:
        return [start]
    step = (stop - start) / (points - 1)
    return [*(start + i * step for i in range(points - 1)), stop]


@dataclass(frozen=True)
class Grid:
    """All combinations; the last axis is the fastest, and turns back where it snakes."""

    values: tuple[list[float], ...]
    snake: bool

    def __iter__(self) -> Iterator[Target]:
        yield from _walk(self.values, self.snake)


def _walk(values: Sequence[list[float]], snake: bool) -> Iterator[Target]:
    if not values:
        yield ()
        return
    *slow, fast = values
    forward = True
    for outer in _walk(slow, snake):
        for value in fast if forward or not snake else reversed(fast):
            yield (*outer, value)
        forward = not forward


class _Shapes:
    """The plans by name, with the signatures that scripts see."""

    def __init__(self, hosts: Mapping[str, InstrumentHost]) -> None:
        self._hosts = hosts

    def scan(
        self, stage: Any, start: Any, stop: Any, points: Any, detectors: Any = (), delay: Any = 0.0
    ) -> Plan:
        mover = self._axis(stage)
        values = self._span(mover, start, stop, points)
        targets = list(zip(values, strict=True))
        return self._plan("scan", (mover,), detectors, targets, len(values), delay)

    def list_scan(self, *args: Any, detectors: Any = (), delay: Any = 0.0) -> Plan:
        pairs = self._groups("list_scan", args, 2, "stage, positions")
        axes = distinct(tuple(self._axis(stage) for stage, _ in pairs))
        columns = [self._positions(a, p) for a, (_, p) in zip(axes, pairs, strict=True)]
        if len({len(c) for c in columns}) != 1:
            raise BadRequestError(
                "list_scan needs as many positions for each axis; found "
                + ", ".join(str(len(c)) for c in columns)
            )
        targets = list(zip(*columns, strict=True))
        return self._plan("list_scan", axes, detectors, targets, len(targets), delay)

    def grid_scan(
        self, *args: Any, detectors: Any = (), snake: Any = True, delay: Any = 0.0
    ) -> Plan:
        quads = self._groups("grid_scan", args, 4, "stage, start, stop, points")
        axes = distinct(tuple(self._axis(quad[0]) for quad in quads))
        values = tuple(self._span(a, *quad[1:]) for a, quad in zip(axes, quads, strict=True))
        total = 1
        for column in values:
            total = check_total(total * len(column))
        return self._plan("grid_scan", axes, detectors, Grid(values, bool(snake)), total, delay)

    def count(self, detectors: Any, n: Any = 1, delay: Any = 0.0) -> Plan:
        total = count_of(n, "count: n")
        return self._plan("count", (), detectors, itertools.repeat((), total), total, delay)

    def point(self, stage: Any, target: Any, detectors: Any = ()) -> Plan:
        mover = self._axis(stage)
        return self._plan("adaptive", (mover,), detectors, [(mover.check_target(target),)], 1, 0.0)

    def fly_scan(
        self,
        stage: Any,
        start: Any,
        stop: Any,
        detectors: Any = (),
        period: Any = 0.01,
        velocity: Any = None,
    ) -> Flight:
        mover = self._axis(stage)
        speed = None if velocity is None else self._velocity(mover, velocity)
        return Flight(
            axis=mover,
            detectors=self._detectors(detectors),
            start=mover.check_target(start),
            stop=mover.check_target(stop),
            period=self._seconds(period, "period", MIN_PERIOD_SECS),
            velocity=speed,
        )

    # --- arguments

    def _plan(
        self, name: str, axes: Any, detectors: Any, targets: Any, total: int, delay: Any
    ) -> Plan:
        wait = self._seconds(delay, "delay", 0.0)
        return Plan(name, axes, self._detectors(detectors), targets, total, wait)

    def _host(self, name: Any) -> InstrumentHost:
        if not isinstance(name, str):
            raise BadRequestError(f"a scan takes instruments; found {name!r:.80}")
        if name not in self._hosts:
            raise GrantError(f"the run was not granted the instrument {name!r:.80}")
        return self._hosts[name]

    def _axis(self, name: Any) -> InstrumentHost:
        return axis(self._host(name))

    def _detectors(self, names: Any) -> tuple[Detector, ...]:
        if not isinstance(names, list | tuple):
            raise BadRequestError(f"detectors must be a list of instruments; found {names!r:.80}")
        found = tuple(detector(self._host(name)) for name in names)
        columns = [d.column for d in found]
        if len(set(columns)) != len(columns):
            raise BadRequestError(f"detectors must differ; found {', '.join(columns)}")
        return found

    def _span(self, mover: InstrumentHost, start: Any, stop: Any, points: Any) -> list[float]:
        ends = mover.check_target(start), mover.check_target(stop)
        return spread(*ends, count_of(points, "points"))

    def _positions(self, mover: InstrumentHost, positions: Any) -> list[float]:
        if not isinstance(positions, list | tuple):
            raise BadRequestError(f"positions must be a list of numbers; found {positions!r:.80}")
        count_of(len(positions), "the number of positions")
        return [mover.check_target(p) for p in positions]

    def _seconds(self, value: Any, what: str, least: float) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value < math.inf:
            raise BadRequestError(f"{what} must be {least:g} s or more; found {value!r:.80}")
        return float(value)

    def _velocity(self, mover: InstrumentHost, velocity: Any) -> float:
        if "configure" not in mover.entry.verbs:
            raise BadRequestError(f"{mover.name} has no velocity to set; leave velocity out")
        speed = check_number(velocity, instrument=mover.name, what="velocity")
        return positive(speed, "velocity", instrument=mover.name)

    def _groups(self, name: str, args: Sequence[Any], size: int, words: str) -> list[Sequence[Any]]:
        if not args or len(args) % size:
            raise BadRequestError(
                f"{name} takes {words} for each axis, and the rest by name; "
                f"found {len(args)} values"
            )
        return [args[i : i + size] for i in range(0, len(args), size)]


_SHAPES: dict[str, Callable[..., Plan | Flight]] = {
    "scan": _Shapes.scan,
    "list_scan": _Shapes.list_scan,
    "grid_scan": _Shapes.grid_scan,
    "count": _Shapes.count,
    "fly_scan": _Shapes.fly_scan,
    "point": _Shapes.point,
}
