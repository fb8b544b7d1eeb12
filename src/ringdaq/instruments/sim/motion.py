"""Motion along a line as a function of time: pieces of constant acceleration."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Piece(NamedTuple):
    """Constant acceleration for a while."""

    start: float
    """In seconds, on the clock of whoever asks."""
    duration: float
    position: float
    """At the start."""
    velocity: float
    """At the start."""
    acceleration: float

    @property
    def end(self) -> float:
        """When the piece is over, in seconds."""
        return self.start + self.duration

    def position_at(self, time: float) -> float:
        """Where it is at a time within the piece; held at the ends outside."""
        t = min(max(time - self.start, 0.0), self.duration)
        return self.position + self.velocity * t + self.acceleration * t * t / 2

    def velocity_at(self, time: float) -> float:
        """How fast it is at a time within the piece."""
        t = min(max(time - self.start, 0.0), self.duration)
        return self.velocity + self.acceleration * t


class Motion(NamedTuple):
    """A whole motion, from wherever it began to rest at `target`."""

    pieces: tuple[Piece, ...]
    target: float
    end: float
    """When it comes to rest, in seconds; minus infinity for what never moved."""

    def position_at(self, time: float) -> float:
        """Where it is."""
        if time >= self.end:
            return self.target
        return self._piece_at(time).position_at(time)

    def velocity_at(self, time: float) -> float:
        """How fast it is; 0 at rest."""
        return 0.0 if time >= self.end else self._piece_at(time).velocity_at(time)

    def _piece_at(self, time: float) -> Piece:
        return next((p for p in self.pieces if time < p.end), self.pieces[-1])


def resting(position: float) -> Motion:
    """No motion at all."""
    return Motion((), position, -math.inf)


def _motion(pieces: tuple[Piece, ...], target: float) -> Motion:
    return Motion(pieces, target, pieces[-1].end) if pieces else resting(target)


def trapezoid(
    time: float, start: float, target: float, *, velocity: float, acceleration: float
) -> Motion:
    """From rest to rest as fast as velocity and acceleration allow."""
    distance = abs(target - start)
    if distance == 0:
        return resting(target)
    sign = math.copysign(1.0, target - start)
    # A short way is a triangle: the full velocity is never reached. The product of the shortest way
    # of all with an acceleration would be 0.
    top = min(velocity, math.sqrt(distance) * math.sqrt(acceleration))
    ramp = top / acceleration
    cruise = (distance - top * ramp) / top
    steps = [(ramp, acceleration), (max(cruise, 0.0), 0.0), (ramp, -acceleration)]
    return _chain(time, start, 0.0, [(d, sign * a) for d, a in steps], target)


def brake(time: float, position: float, velocity: float, *, acceleration: float) -> Motion:
    """To rest as soon as the acceleration allows."""
    duration = abs(velocity) / acceleration
    slowing = math.copysign(acceleration, -velocity)
    target = position + velocity * duration / 2
    return _chain(time, position, velocity, [(duration, slowing)], target)


def redirect(
    now: float, motion: Motion, target: float, *, velocity: float, acceleration: float
) -> Motion:
    """Brake whatever motion is under way, then go to a new target."""
    first = brake(now, motion.position_at(now), motion.velocity_at(now), acceleration=acceleration)
    begin = max(now, first.end)
    then = trapezoid(begin, first.target, target, velocity=velocity, acceleration=acceleration)
    return _motion((*first.pieces, *then.pieces), target)


def _chain(
    time: float,
    position: float,
    velocity: float,
    steps: Iterable[tuple[float, float]],
    target: float,
) -> Motion:
    pieces = []
    for duration, acceleration in steps:
        if duration <= 0:
            continue
        piece = Piece(time, duration, position, velocity, acceleration)
        pieces.append(piece)
        time = piece.end
        position, velocity = piece.position_at(time), piece.velocity_at(time)
    return _motion(tuple(pieces), target)
