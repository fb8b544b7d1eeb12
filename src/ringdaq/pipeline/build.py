"""Puts a checked graph together in the core."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ringdaq_core as core

from ringdaq.errors import ConfigError
from ringdaq.pipeline.graph import CheckedGraph, CheckedStage
from ringdaq.pipeline.parts import PacketFormat, Sink, Source
from ringdaq.pipeline.stages.rings import RingSink, RingSource
from ringdaq.streams.failures import CORE_ERRORS, stream_error

SECOND = "second"
"""The way in that the core calls so."""


@dataclass(frozen=True)
class BuiltSource:
    """A source in Python: run it on a thread, with a feed that calls `pipeline.write(name, …)`."""

    name: str
    source: Source
    format: PacketFormat


@dataclass(frozen=True)
class BuiltSink:
    """A sink in Python: give it what `pipeline.read_tap(name, …)` gives, as a view of the form."""

    name: str
    sink: Sink
    format: PacketFormat


@dataclass(frozen=True)
class Built:
    """A pipeline that is ready to start, and what is to be driven beside it.

    Start it with `pipeline.start(cores, priority)` of the graph's placement. Its rings exist from
    now on; let go of the pipeline to end them.
    """

    graph: CheckedGraph
    pipeline: core.Pipeline
    sources: tuple[BuiltSource, ...]
    sinks: tuple[BuiltSink, ...]
    rings: dict[str, Path]
    """The ring that each ring sink has made."""


def build(graph: CheckedGraph, *, isa: str | None = None) -> Built:
    """Put a complete graph together; rings are made, nothing runs yet.

    Raises a `ConfigError` for a graph whose forms are not all known (check it with `connect=True`),
    and for what the core refuses; a `StreamError` for a ring that cannot be read or made.
    """
    if not graph.complete:
        raise ConfigError(
            f"pipeline {graph.config.name!r} has sources that must be connected first; "
            f"check it with connect=True"
        )
    builder = _Builder(graph, core.Pipeline(isa))
    try:
        return builder.build()
    except CORE_ERRORS as error:
        raise ConfigError(f"pipeline {graph.config.name!r}: {error}") from error


class _Builder:
    def __init__(self, graph: CheckedGraph, pipeline: core.Pipeline) -> None:
        self._graph = graph
        self._pipeline = pipeline
        self._sources: list[BuiltSource] = []
        self._sinks: list[BuiltSink] = []
        self._rings: dict[str, Path] = {}
        self._entries: dict[str, str] = {}
        """The core's stage that takes what leads to a stage."""

    def build(self) -> Built:
        self._make_pools()
        for stage in self._graph.stages:
            {"source": self._source, "sink": self._sink}.get(
                "sink" if stage.is_tap else stage.kind.role, self._transform
            )(stage)
        for edge in self._graph.edges:
            entry = self._entries.get(edge.target, edge.target)
            carries = "second" if edge.port == SECOND else edge.carries
            self._pipeline.connect(
                edge.source, entry, edge.capacity, edge.policy, edge.thread, carries
            )
        return Built(
            self._graph, self._pipeline, tuple(self._sources), tuple(self._sinks), self._rings
        )

    def _make_pools(self) -> None:
        """Make the pools that transforms name, as wide as what they make."""
        for name, pool in self._graph.config.body.pools.items():
            users = [s for s in self._graph.stages if s.config.pool == name and s.planned]
            if users:
                channels, samples = (
                    max(sizes) for sizes in zip(*(user.shape for user in users), strict=True)
                )
                self._pipeline.pool(name, channels, samples, pool.packets)

    def _source(self, stage: CheckedStage) -> None:
        form = stage.output
        assert form is not None
        rate = form.rate.numerator, form.rate.denominator
        if isinstance(stage.part, RingSource):
            path, oldest = stage.part.path, stage.part.from_oldest
            try:
                self._pipeline.ring_source(stage.name, path, form.samples, rate, oldest)
            except CORE_ERRORS as error:
                raise stream_error(error, stage.part.stream, path) from error
            return
        self._pipeline.feed(stage.name, form.kind, len(form.channels), form.samples, rate)
        self._sources.append(BuiltSource(stage.name, stage.part, form))

    def _transform(self, stage: CheckedStage) -> None:
        assert stage.planned is not None
        names = stage.core_names
        self._entries[stage.name] = names[0]
        for name, made in zip(names, stage.planned.stages, strict=True):
            last = name == stage.name
            self._pipeline.stage(
                name,
                made.kind,
                dict(made.parameters),
                stage.config.on_error,
                stage.config.pool if last else None,
                (stage.config.latency_secs or 0.0) if last else 0.0,
            )
        for before, name in pairwise(names):
            self._pipeline.connect(before, name)

    def _sink(self, stage: CheckedStage) -> None:
        assert stage.given is not None
        if isinstance(stage.part, RingSink):
            metadata = {"pipeline_hash": self._graph.config.hash}
            self._rings[stage.name] = stage.part.create(self._pipeline, stage.given, metadata)
            return
        self._pipeline.tap(stage.name)
        self._sinks.append(BuiltSink(stage.name, stage.part, stage.given))
