"""What leads where in a graph text: written, or following from the order of its stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import ringdaq_core as core

from ringdaq.config import ConnectionConfig, PipelineConfig, Problem, nearest
from ringdaq.config.lines import Path as Location
from ringdaq.pipeline.catalogue import StageKind
from ringdaq.pipeline.parts import PacketFormat

CAPACITY = 8
"""Packets that may wait on an edge, where the text does not say it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from a stage to another."""

    source: str
    target: str
    port: str = ""
    """The target's way in, where it has more than one."""
    capacity: int = CAPACITY
    """Packets that may wait, where it is a queue."""
    policy: str = "block"
    thread: bool = False
    """What follows runs on a thread of its own."""
    carries: str = "all"
    """`all`, `packets` or `triggers`."""
    queued: bool = True
    """Whether packets wait on it; on the others they go on at once, on the same thread."""
    place: Location = ()
    """Where the text says it."""


class Wiring:
    """Finds the edges of a text, and what is wrong with them."""

    def __init__(self, config: PipelineConfig, kinds: Mapping[str, StageKind]) -> None:
        self._config = config
        self._kinds = kinds
        self._names = [stage.called for stage in config.stages]
        self.problems: list[Problem] = []
        self.edges: list[Edge] = []

    def find(self) -> list[Edge]:
        """All edges, ordered by the stages that they lead to."""
        written = list(self._connections())
        for index, stage in enumerate(self._config.stages):
            place: Location = ("stage", index, "input")
            asked = [(source, place) for source in stage.inputs]
            given = [edge for edge in written if edge.target == stage.called]
            if not asked and not given:
                asked = self._implied(index)
            for order, (source, at) in enumerate(asked):
                self._add(self._edge(source, stage.called, order, at), given)
            for edge in given:
                self._add(edge, ())
        return self.edges

    def _connections(self) -> Iterator[Edge]:
        for index, connection in enumerate(self._config.body.connections):
            at = ("connection", index)
            target, _, port = connection.to.partition(".")
            known = self._known(connection.from_, (*at, "from"))
            if self._known(target, (*at, "to")) and known:
                yield self._connection(connection, target, port, at)

    def _connection(
        self, connection: ConnectionConfig, target: str, port: str, at: Location
    ) -> Edge:
        kind = self._kinds.get(target)
        if port and kind is not None and port not in kind.inputs:
            found = f"stage {target!r} has no way in called {port!r}"
            hint = nearest(port, kind.inputs) if kind.inputs else "it has one, without a name"
            self.problems.append(self._config.problem((*at, "to"), f"{found}; {hint}"))
        port = port or (kind.inputs[0] if kind is not None and kind.inputs else "")
        return Edge(
            connection.from_,
            target,
            port,
            connection.capacity or 0,
            connection.policy,
            connection.thread,
            carries=connection.carries,
            place=at,
        )

    def _edge(self, source: str, target: str, order: int, place: Location) -> Edge:
        kind = self._kinds.get(target)
        ports = kind.inputs if kind is not None else ()
        return Edge(source, target, ports[order] if order < len(ports) else "", 0, place=place)

    def _add(self, edge: Edge, instead: Sequence[Edge]) -> None:
        """Add an edge once; what `[[connection]]` says of it holds."""
        same = [one for one in instead if one.source == edge.source]
        known = any((e.source, e.target) == (edge.source, edge.target) for e in self.edges)
        if not same and not known and self._known(edge.source, edge.place):
            self.edges.append(edge)

    def _implied(self, index: int) -> list[tuple[str, Location]]:
        """The nearest source or transform above; nothing above a source."""
        kind = self._kinds.get(self._names[index])
        if kind is None or kind.role == "source":
            return []
        for name in reversed(self._names[:index]):
            above = self._kinds.get(name)
            if above is None or above.role != "sink":
                return [(name, ("stage", index))]
        return []

    def _known(self, name: str, place: Location) -> bool:
        if name in self._names:
            return True
        text = f"no stage {name!r}; {nearest(name, self._names)}"
        if not any(problem.text == text for problem in self.problems):
            self.problems.append(self._config.problem(place, text))
        return False


def order_of(names: Sequence[str], edges: Sequence[Edge]) -> tuple[list[str], list[str]]:
    """The stages so that each follows what it takes, by the text's order; and what runs in circles.

    What merely follows a circle is not in it.
    """
    left, order = list(names), list[str]()
    while True:
        waiting = {edge.target for edge in edges if edge.source in left}
        ready = [name for name in left if name not in waiting]
        if not ready:
            return order, _circle(left, edges)
        order.append(ready[0])
        left.remove(ready[0])


def _circle(left: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """One circle among stages that each wait for another of them; nothing without any."""
    if not left:
        return []
    walk = [left[0]]
    while True:
        before = next(e.source for e in edges if e.target == walk[-1] and e.source in left)
        if before in walk:
            return walk[walk.index(before) :][::-1]
        walk.append(before)


def reached(start: Sequence[str], edges: Sequence[Edge], *, back: bool = False) -> set[str]:
    """The stages that packets from some of them come to, those included; `back` the other way."""
    found = set(start)
    while True:
        ends = [(e.target, e.source) if back else (e.source, e.target) for e in edges]
        more = {to for at, to in ends if at in found} - found
        if not more:
            return found
        found |= more


def least_capacity(latency_secs: float, form: PacketFormat) -> int:
    """The packets that come while a stage takes its longest, as the core counts them too."""
    rate = form.rate.numerator, form.rate.denominator
    ours = math.ceil(Fraction(str(latency_secs)) / form.period)
    return max(1, ours, core.needed_capacity(latency_secs, form.samples, rate))
