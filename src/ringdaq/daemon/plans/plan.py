"""What a scan is: axes, detectors, and the points to go to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.errors import BadRequestError, MissingCapabilityError

MAX_POINTS = 1_000_000
Target = tuple[float, ...]


class Control(Protocol):
    """What a plan obeys while it goes on."""

    def checkpoint(self, done: float, before_hold: Callable[[], object]) -> None:
        """Between two points: note how far it is (0 to 1), wait out a pause, raise at a stop.

        `before_hold` is called before it waits.
        """

    def report(self, done: float) -> None:
        """During a motion that cannot pause: note how far it is, raise at a stop."""

    def tell(self) -> None:
        """Let others see how far it is."""

    def sleep(self, seconds: float) -> None:
        """Wait; raises at a stop."""


@dataclass(frozen=True)
class Detector:
    """What is read at each point."""

    host: InstrumentHost
    verb: str
    """`read`, `trigger` or `position`."""

    @property
    def column(self) -> str:
        """Its name in a row."""
        return f"{self.host.name}_position" if self.verb == "position" else self.host.name


@dataclass(frozen=True)
class Plan:
    """A plan whose targets lie within limits, each of them."""

    name: str
    axes: tuple[InstrumentHost, ...]
    detectors: tuple[Detector, ...]
    targets: Iterable[Target]
    """A position an axis, for each point."""
    total: int
    delay: float = 0.0
    """Seconds between two points."""

    @property
    def hosts(self) -> tuple[InstrumentHost, ...]:
        """Every instrument in it."""
        return (*self.axes, *(d.host for d in self.detectors))


@dataclass(frozen=True)
class Flight:
    """One motion, during which detectors are read."""

    axis: InstrumentHost
    detectors: tuple[Detector, ...]
    start: float
    stop: float
    period: float
    """Seconds from one row to the next, at least."""
    velocity: float | None
    """`None` leaves the axis as it is set."""

    @property
    def hosts(self) -> tuple[InstrumentHost, ...]:
        """Every instrument in it."""
        return (self.axis, *(d.host for d in self.detectors))


def axis(host: InstrumentHost) -> InstrumentHost:
    """The instrument, if it can move."""
    if "move_abs" not in host.entry.verbs:
        raise MissingCapabilityError(
            f"{host.name} cannot move; a scan's axis must be Movable", instrument=host.name
        )
    return host


def detector(host: InstrumentHost) -> Detector:
    """How a point reads the instrument: its value, else a triggered frame, else its position."""
    for verb in ("read", "trigger", "position"):
        if verb in host.entry.verbs:
            return Detector(host, verb)
    raise MissingCapabilityError(
        f"{host.name} cannot be read at a point; a detector must be Readable, Triggerable or "
        "Movable",
        instrument=host.name,
    )


def count_of(value: Any, what: str, least: int = 1) -> int:
    """A number of points; refuses what is no whole number within reason."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_POINTS:
        raise BadRequestError(
            f"{what} must be a whole number from {least} to {MAX_POINTS}; found {value!r:.80}"
        )
    return value


def check_total(total: int) -> int:
    """The number of points of a whole plan."""
    if total > MAX_POINTS:
        raise BadRequestError(f"a scan may have {MAX_POINTS} points; found {total}")
    return total


def distinct(axes: tuple[InstrumentHost, ...]) -> tuple[InstrumentHost, ...]:
    """The axes, if none is named twice."""
    names = [a.name for a in axes]
    if len(set(names)) != len(names):
        raise BadRequestError(f"a scan's axes must differ; found {', '.join(names)}")
    return axes
