"""Whether queues and pools hold what a graph needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ringdaq.config import PipelineConfig, PoolConfig, Problem
from ringdaq.pipeline.edges import CAPACITY, Edge, least_capacity, reached

if TYPE_CHECKING:
    from ringdaq.pipeline.graph import CheckedStage

SPARE_PACKETS = 4
"""Packets of a branch beyond those that its queues may hold, as the core has them."""


def check_room(
    config: PipelineConfig,
    stages: Sequence[CheckedStage],
    edges: Sequence[Edge],
    problems: list[Problem],
) -> list[Edge]:
    """The edges with their capacities; what is too small goes to the problems."""
    room = _Room(config, stages, edges, problems)
    room.give_capacities()
    room.check_policies()
    for stage in stages:
        room.check_bound(stage)
    room.check_pools()
    return room.edges


class _Room:
    def __init__(
        self,
        config: PipelineConfig,
        stages: Sequence[CheckedStage],
        edges: Sequence[Edge],
        problems: list[Problem],
    ) -> None:
        self._config = config
        self._stages = {stage.name: stage for stage in stages}
        self.edges = list(edges)
        self._problems = problems

    def _after(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.source == name]

    def _before(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.target == name]

    def _is_inline(self, edge: Edge) -> bool:
        """Whether it leads to a ring that is written on the same thread."""
        target = self._stages.get(edge.target)
        native = target is not None and target.kind.role == "sink" and not target.is_tap
        source = self._stages.get(edge.source)
        if source is not None and source.is_feed:
            return False
        plain = not edge.thread and edge.carries == "all"
        return native and plain and len(self._before(edge.target)) == 1

    def flows_on(self, edge: Edge) -> bool:
        """Whether what follows runs on the same thread, without a queue between."""
        source, target = self._stages.get(edge.source), self._stages.get(edge.target)
        if source is None or target is None or source.is_feed:
            return False
        others = [e for e in self._after(edge.source) if not self._is_inline(e)]
        return (
            not edge.thread
            and edge.carries == "all"
            and len(others) == 1
            and len(self._before(edge.target)) == 1
            and target.kind.role == "transform"
            and not target.is_tap
        )

    # --- queues

    def give_capacities(self) -> None:
        """Fill in capacities that are not written; refuse those that latencies make too small."""
        self.edges = [self._with_capacity(edge) for edge in self.edges]

    def _with_capacity(self, edge: Edge) -> Edge:
        source = self._stages.get(edge.source)
        form = source.output if source is not None else None
        latency, slow = max(self._latencies(edge.target), default=(0.0, ""))
        least = least_capacity(latency, form) if form is not None else 1
        queued = not (self.flows_on(edge) or self._is_inline(edge))
        if 0 < edge.capacity < least and queued:
            assert form is not None
            self._problems.append(
                self._config.problem(
                    (*edge.place, "capacity"),
                    f"a queue of {edge.capacity} packets is too small: {slow!r} may take "
                    f"{latency:g} s, in which {least} packets come; write at least {least}",
                )
            )
        return replace(edge, capacity=edge.capacity or max(CAPACITY, least), queued=queued)

    def _latencies(self, name: str) -> list[tuple[float, str]]:
        """What the stages that run on a stage's thread may take, it included."""
        stage = self._stages.get(name)
        if stage is None:
            return []
        own = [(stage.config.latency_secs, name)] if stage.config.latency_secs else []
        onward = [edge.target for edge in self._after(name) if self.flows_on(edge)]
        return own + [found for target in onward for found in self._latencies(target)]

    def check_policies(self) -> None:
        """Refuse edges that join with more than one policy."""
        for name in self._stages:
            policies = {edge.policy: edge for edge in self._before(name)}
            if len(policies) > 1:
                self._problems.append(
                    self._config.problem(
                        next(reversed(policies.values())).place,
                        f"what joins at {name!r} waits in one queue and needs one policy; "
                        f"found {' and '.join(policies)}",
                    )
                )

    # --- pools

    def check_bound(self, stage: CheckedStage) -> None:
        """Refuse a stage without a pool of its own that needs more than `[pool.default]` has."""
        bound = self._config.body.pools.get("default")
        if bound is not None and stage.config.pool is None and stage.output is not None:
            self._check_pool("default", bound, [stage])

    def check_pools(self) -> None:
        """Refuse pools that cannot hold what the stages that name them need together."""
        for name, pool in self._config.body.pools.items():
            users = [stage for stage in self._stages.values() if stage.config.pool == name]
            self._check_pool(name, pool, [stage for stage in users if stage.output is not None])

    def _check_pool(self, name: str, pool: PoolConfig, users: Sequence[CheckedStage]) -> None:
        needs = [self._needs(stage) for stage in users]
        packets = sum(need["packets"] for need in needs)
        for stage, need in zip(users, needs, strict=True):
            for key, wanted in (need | {"packets": packets}).items():
                if wanted > getattr(pool, key):
                    self._refuse_pool(name, key, getattr(pool, key), stage.name, wanted)

    def _refuse_pool(self, name: str, key: str, found: int, stage: str, wanted: int) -> None:
        text = f"pool {name!r} holds {found} {key}; stage {stage!r} needs {wanted}"
        self._problems.append(self._config.problem(("pool", name, key), text))

    def _needs(self, stage: CheckedStage) -> dict[str, int]:
        leaving = [e for e in self._after(stage.name) if not self._is_inline(e)]
        waits = any(not self.flows_on(edge) for edge in leaving)
        channels, samples = stage.shape
        return {
            "channels": channels,
            "samples": samples,
            "packets": SPARE_PACKETS + self._room_after(stage.name) if waits else 0,
        }

    def _room_after(self, name: str) -> int:
        behind = reached([name], self.edges)
        return sum(edge.capacity + 1 for edge in self.edges if edge.source in behind)
