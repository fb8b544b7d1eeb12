"""A built pipeline, and everything that is driven beside it: start, watch, change, end."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, Self

from ringdaq.config import nearest
from ringdaq.errors import ConfigError, PipelineError, ServiceError
from ringdaq.pipeline.build import Built, BuiltSink
from ringdaq.pipeline.changes import Change, changes
from ringdaq.pipeline.feeding import SourceThread
from ringdaq.pipeline.figures import figures_of, lost_packets, lost_samples
from ringdaq.pipeline.graph import CheckedGraph
from ringdaq.pipeline.tapping import ControlPlane, SinkThread
from ringdaq.streams.failures import CORE_ERRORS

SET_SECS = 5.0
"""How long changes may take together, and as long again to put them back."""
HANG_SECS = 30.0
"""A branch that shows no sign of life for so long hangs; its stages' `latency_secs` come on top."""


END_SECS = 10.0
"""How long a `with` block waits for the pipeline's end."""


class RunningPipeline:
    """One run of a built pipeline; threads may share it.

    `with RunningPipeline(built) as pipeline:` runs it for the length of a block.
    """

    def __init__(self, built: Built) -> None:
        self._built, self._core = built, built.pipeline
        self._plane = ControlPlane()
        self._sources = [SourceThread(self._core, s.name, s.source) for s in built.sources]
        self._sinks = [self._sink(sink) for sink in built.sinks]
        self._graph = built.graph
        self._lock, self._setting = threading.Lock(), threading.Lock()
        self._started = self._paused = self._draining = False
        self._began = time.monotonic()
        self._patience = HANG_SECS + sum(
            stage.config.latency_secs or 0.0 for stage in built.graph.stages
        )

    def _sink(self, built: BuiltSink) -> SinkThread:
        stage = self._built.graph.stage(built.name)
        return SinkThread(
            self._core,
            built.name,
            built.format,
            stage.make_part,
            self._plane,
            sink=built.sink,
            on_error=stage.config.on_error,
        )

    # --- its life

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop(END_SECS)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(END_SECS)

    def start(self) -> None:
        """Let it run: sinks first, then the core, then the sources."""
        for sink in self._sinks:
            sink.open()
        placement = self._built.graph.config.body.placement
        self._core.start(placement.cores, placement.priority)
        self._started, self._began = True, time.monotonic()
        for sink in self._sinks:
            sink.start()
        for source in self._sources:
            source.start()

    def pause(self) -> None:
        """Hold all branches; queues fill, and do what their policy says."""
        self._core.pause()
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._core.resume()
        self._paused = False

    def drain(self, timeout: float) -> bool:
        """Let the sources end, and the rest when all is through; False if that takes longer."""
        return self._end(timeout, self._core.drain)

    def stop(self, timeout: float) -> bool:
        """End now, whatever is on its way; False if a part does not come back in time."""
        return self._end(timeout, self._core.stop)

    def _end(self, timeout: float, how: Any) -> bool:
        deadline = time.monotonic() + timeout
        with self._lock:
            self._draining = True
            if not self._started:
                self._give_back()
                return True
            if self._paused and how == self._core.drain:
                self.resume()
            late = [source for source in self._sources if not source.stop(_left(deadline))]
            done = how(_left(deadline)) and not late
            left = [sink for sink in self._sinks if not sink.join(_left(deadline))]
            self._plane.close()
            if done:
                self._close_plugins()
            return done and not left

    def _close_plugins(self) -> None:
        """Tell plugins of the end; those whose thread still runs are left alone."""
        for stage in self._graph.stages:
            stage.close_plugin()

    def _give_back(self) -> None:
        """Let go of what never began."""
        for source in self._sources:
            source.stop(0.0)
        for sink in self._sinks:
            sink.join(0.0)
        self._plane.close()
        self._close_plugins()

    # --- how it is

    @property
    def state(self) -> str:
        """`running`, `paused`, `draining`, or `ended` when nothing can come any more."""
        if not self._started:
            return "ready"
        if not self._alive():
            return "ended"
        return "draining" if self._draining else "paused" if self._paused else "running"

    def _alive(self) -> bool:
        return any(state == "running" for _, state, *_ in self._core.statistics()[3])

    @property
    def over(self) -> bool:
        """Whether nothing more comes of the sources in Python: one failed, or all have ended."""
        if self.source_failed:
            return True
        return not self._ring_sources() and not any(source.alive for source in self._sources)

    @property
    def source_failed(self) -> bool:
        """Whether a source in Python came to its end before its time."""
        return any(source.error for source in self._sources)

    @property
    def cut_off(self) -> str:
        """A ring that is read no more while others are; empty while all are.

        Its writer has left, or its branch has failed: only a new beginning takes its stream up.
        """
        if not self._started or self._draining:
            return ""
        rings, branches = self._ring_sources(), self._core.statistics()[3]
        # A branch has the name of its first stage.
        return next((name for name, now, *_ in branches if name in rings and now != "running"), "")

    def _ring_sources(self) -> set[str]:
        sources = (stage for stage in self._graph.stages if stage.kind.role == "source")
        return {stage.name for stage in sources if not stage.is_feed}

    def failures(self) -> list[str]:
        """What has ended before its time, in words."""
        branches = self._core.statistics()[3] if self._started else []
        told = [f"{name}: {why}" for name, state, *_, why in branches if state == "failed"]
        told += [source.error for source in self._sources if source.error]
        return told + [sink.error for sink in self._sinks if sink.failed]

    def hanging(self) -> str:
        """The branch that shows no sign of life; empty while all do."""
        if self._paused or not self._started:
            return ""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for name, state, counts, *_ in self._core.statistics()[3]:
            beat = counts[1]
            if state == "running" and beat and now - beat > self._patience * 1e9:
                return name
        return ""

    def statistics(self) -> dict[str, Any]:
        """All counters by name, and how many packets are `lost`, and `lost_samples` before them."""
        found = figures_of(self._core) if self._started else figures_of_nothing()
        found |= {
            "uptime_secs": time.monotonic() - self._began,
            "sources": {source.name: source.figures() for source in self._sources},
            "sinks": {sink.name: sink.figures() for sink in self._sinks},
        }
        return found | {"lost": lost_packets(found), "lost_samples": lost_samples(found)}

    def latency(self) -> dict[str, dict[str, Any]]:
        """From a packet's coming in to its end, by branch: p50, p99, longest in ns, histogram."""
        branches = figures_of(self._core)["branches"] if self._started else {}
        return {
            name: one["latency"] | {"histogram": self._core.histogram(name)}
            for name, one in branches.items()
        }

    # --- changes

    def set(self, values: Mapping[str, Any]) -> None:
        """Change parameters, `stage.parameter`, all or none; a `ConfigError` says why not.

        A `ServiceError` says that some of them hold and cannot be put back.
        """
        if not self._started:
            raise PipelineError("a pipeline's parameters change while it runs; it has not begun")
        with self._setting:
            found, graph = self._planned(values)
            deadline = time.monotonic() + SET_SECS
            for place, change in enumerate(found):
                try:
                    self._core.set(*change[:3], _left(deadline))
                except CORE_ERRORS as error:
                    self._put_back(found[:place], error)
                    raise ConfigError(
                        f"stage {change.stage!r}: {change.parameter!r} cannot change now: {error}"
                    ) from None
            self._graph = graph

    def _put_back(self, done: list[Change], why: Exception) -> None:
        deadline = time.monotonic() + SET_SECS
        for change in reversed(done):
            try:
                self._core.set(change.stage, change.parameter, change.before, _left(deadline))
            except CORE_ERRORS as error:
                raise ServiceError(
                    f"stage {change.stage!r}: {change.parameter!r} has changed and cannot be put "
                    f"back: {error}; another one could not change: {why}"
                ) from None

    def _planned(self, values: Mapping[str, Any]) -> tuple[list[Change], CheckedGraph]:
        """What to set, all of it checked, and the graph then."""
        graph, found = self._graph, list[Change]()
        for name, new in by_stage(values, [stage.name for stage in graph.stages]).items():
            more, graph = changes(graph, name, new)
            found += more
        return found, graph


def by_stage(values: Mapping[str, Any], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Values of `stage.parameter` by stage and parameter."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, _, parameter = key.partition(".")
        if name not in names or not parameter:
            raise ConfigError(f"write stage.parameter; no stage {name!r}; {nearest(name, names)}")
        found.setdefault(name, {})[parameter] = value
    return found


def figures_of_nothing() -> dict[str, Any]:
    """The counters of a pipeline that has not begun."""
    return {"isa": "", "stages": {}, "queues": {}, "pools": {}, "branches": {}}


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
