"""Checks a graph before anything runs: what leads where, in which form, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ringdaq.config import (
    PipelineConfig,
    Problem,
    Section,
    StageConfig,
    nearest,
    raise_problems,
)
from ringdaq.config.lines import Path as Location
from ringdaq.config.pipeline import WHAT
from ringdaq.errors import (
    ConfigError,
    NotConnectedError,
    RingdaqError,
    StreamError,
    UnknownStreamError,
)
from ringdaq.pipeline.catalogue import StageKind, find_kind
from ringdaq.pipeline.edges import Edge, Wiring, order_of, reached
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.room import check_room
from ringdaq.pipeline.stages.rings import RingSink, RingSource
from ringdaq.pipeline.transform import Planned, Transform

RINGS = Path("/dev/shm")
MOST_HZ, MOST_SAMPLES = 10**9, 1_000_000


@dataclass(frozen=True)
class CheckedStage:
    """A stage that was found right."""

    name: str
    index: int
    """Its place in the text."""
    kind: StageKind
    config: StageConfig
    options: Section
    """Its parameters."""
    site: Site
    part: Any = None
    """The `Source` or `Sink`; of a transform on the control plane, a `Sink` too."""
    given: PacketFormat | None = None
    """The form of what comes to it; None for a source, or where it is not known yet."""
    planned: Planned | None = None
    """What a transform becomes in the core; None where that is not known yet."""
    output: PacketFormat | None = None
    """The form of what it makes; None for a sink, or where it is not known yet."""

    @property
    def core_names(self) -> list[str]:
        """The names of what a transform becomes in the core; the last one is its own."""
        count = len(self.planned.stages) if self.planned is not None else 1
        return [f"{self.name}.{place}" for place in range(1, count)] + [self.name]

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and rows that a packet of its pool must hold: what comes, and what it makes."""
        forms = [form for form in (self.given, self.output) if form is not None]
        return max(len(form.channels) for form in forms), max(form.samples for form in forms)

    def close_plugin(self) -> None:
        """Tell a plugin that no packet comes any more."""
        for made in self.planned.stages if self.planned is not None else ():
            call = made.parameters.get("call")
            if call is not None:
                call.close()

    @property
    def plane(self) -> str:
        """`data_plane` or `control_plane`."""
        return self.config.stage_type or self.kind.plane

    def make_part(self) -> Any:
        """A new `Source` or `Sink`, in the place of one that failed."""
        if isinstance(self.options, Transform):
            assert self.given is not None
            return self.options.tap(self.given, self.site)
        return self.kind.load()(self.options, self.site)

    @property
    def is_tap(self) -> bool:
        """Whether packets leave the core for it."""
        return self.plane == "control_plane" and self.kind.role != "source"

    @property
    def is_feed(self) -> bool:
        """Whether it is a source in Python."""
        return self.plane == "control_plane" and self.kind.role == "source"


@dataclass(frozen=True)
class CheckedGraph:
    """A graph that may run."""

    config: PipelineConfig
    stages: tuple[CheckedStage, ...]
    """Each follows what it takes."""
    edges: tuple[Edge, ...]

    @property
    def complete(self) -> bool:
        """Whether all forms are known, so that it can be built."""
        sinks = (stage for stage in self.stages if stage.kind.role == "sink")
        return all(stage.given is not None for stage in sinks)

    def stage(self, name: str) -> CheckedStage:
        """A stage of a name; a `ConfigError` names the nearest."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        hint = nearest(name, [stage.name for stage in self.stages])
        raise ConfigError(f"pipeline {self.config.name!r} has no stage {name!r}; {hint}")

    def format_of(self, edge: Edge) -> PacketFormat | None:
        """The form of the packets on an edge; None where it is not known yet."""
        return self.stage(edge.source).output

    def close(self) -> None:
        """Close the sources; needed where they were asked for their forms and nothing runs."""
        close_sources(self.stages)


def close_sources(stages: Sequence[CheckedStage]) -> None:
    """Close what reaches for files, the network or hardware."""
    for stage in stages:
        if stage.kind.role == "source" and stage.part is not None:
            stage.part.close()


def check(config: PipelineConfig, *, rings: Path = RINGS, connect: bool = False) -> CheckedGraph:
    """Check a graph; one `ConfigError` tells all that is wrong, each with its line.

    - `rings`: the directory of the rings that it reads and writes.
    - `connect`: sources that must connect to know their form do so. Without, what follows them
      stays unchecked, and the graph may not be `complete`. With it, the sources stay open: run
      them or `close()` the graph. If the check fails, all are closed again. A source that is not
      there is no fault of the text: if all else is right, `NotConnectedError` says which.
    """
    checker = _Checker(config, rings, connect)
    try:
        graph = checker.run()
    except BaseException:
        close_sources(list(checker.stages.values()))
        raise
    if not connect:
        graph.close()
    return graph


class _Checker:
    """One check, its problems gathered."""

    def __init__(self, config: PipelineConfig, rings: Path, connect: bool) -> None:
        self._config = config
        self._rings = rings
        self._connect = connect
        self._kinds: dict[str, StageKind] = {}
        self._edges: list[Edge] = []
        self.stages: dict[str, CheckedStage] = {}
        self.problems: list[Problem] = []
        self._absent: list[str] = []

    def run(self) -> CheckedGraph:
        for index, stage in enumerate(self._config.stages):
            self._take(index, stage)
        wiring = Wiring(self._config, self._kinds)
        self._edges = wiring.find()
        self.problems += wiring.problems
        names = [stage.called for stage in self._config.stages]
        order, circle = order_of(names, self._edges)
        if not wiring.problems:
            # Otherwise what a wrong name leaves alone would be told a second time.
            self._check_ends(names, circle)
        for name in order:
            if name in self.stages:
                self._plan(self.stages[name])
        stages = tuple(self.stages[name] for name in order if name in self.stages)
        self._check_streams()
        edges = check_room(self._config, stages, self._edges, self.problems)
        raise_problems(self.problems, self._config.path, WHAT)
        if self._absent:
            raise NotConnectedError("; ".join(self._absent))
        return CheckedGraph(self._config, stages, tuple(edges))

    def _refuse(self, place: Location, text: str) -> None:
        self.problems.append(self._config.problem(place, text))

    # --- stages by themselves

    def _take(self, index: int, stage: StageConfig) -> None:
        """A stage's type and parameters."""
        try:
            kind = find_kind(stage.type)
            self._kinds[stage.called] = kind
            options = self._options(index, stage, kind)
            if options is None:
                return
            site = self._site(stage)
            made = CheckedStage(stage.called, index, kind, stage, options, site)
            self._check_plane(made)
            if kind.role != "transform":
                made = replace(made, part=made.make_part())
            self.stages[stage.called] = made
        except RingdaqError as error:
            key = getattr(error, "key", "") or "type"
            self._refuse(("stage", index, key), f"stage {stage.called!r}: {error}")

    def _site(self, stage: StageConfig) -> Site:
        folder = self._config.path.parent
        return Site(stage.called, self._config.name, folder, self._rings, stage.on_error)

    def _options(self, index: int, stage: StageConfig, kind: StageKind) -> Section | None:
        model = kind.options()
        values = stage.parameters | ({"plugin": kind.plugin} if kind.plugin else {})
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self.problems += self._config.problems_of(error, model, ("stage", index))
            return None

    def _check_plane(self, stage: CheckedStage) -> None:
        asked = stage.config.stage_type
        movable = stage.config.type == "plugin" or stage.kind.plugin
        if asked not in (None, stage.kind.plane) and not movable:
            raise RefusedError(
                f"a {stage.config.type} stage runs on the {stage.kind.plane}; leave stage_type out",
                "stage_type",
            )

    # --- stages among each other

    def _check_ends(self, names: Sequence[str], circle: Sequence[str]) -> None:
        if circle:
            way = " → ".join([*circle, circle[0]])
            self._refuse(self._place(circle[0]), f"the stages run in a circle: {way}")
        known = [name for name in names if name in self._kinds]
        if len(known) < len(names) or circle:
            return
        sources = [name for name in names if self._kinds[name].role == "source"]
        sinks = [name for name in names if self._kinds[name].role == "sink"]
        sinks += [name for name, stage in self.stages.items() if stage.is_tap]
        fed, used = reached(sources, self._edges), reached(sinks, self._edges, back=True)
        for name in names:
            self._check_end(name, name in fed, name in used)

    def _check_end(self, name: str, fed: bool, used: bool) -> None:
        role, place = self._kinds[name].role, self._place(name)
        if role == "source" and any(edge.target == name for edge in self._edges):
            self._refuse(place, f"{name!r} is a source; nothing can lead to it")
        elif not fed:
            self._refuse(place, f"no source leads to {name!r}; write its input")
        if any(edge.source == name for edge in self._edges) and self._ends(name):
            self._refuse(place, f"{name!r} is a sink; nothing can follow it")
        elif not used:
            self._refuse(place, f"{name!r} leads to no sink; write one behind it, or leave it out")

    def _check_streams(self) -> None:
        """A stream has one writer, and nothing reads what it writes itself."""
        writers: dict[str, str] = {}
        readers = {s.part.stream: s.name for s in self.stages.values() if _is(s, RingSource)}
        for stage in self.stages.values():
            if not _is(stage, RingSink):
                continue
            stream, place = stage.part.stream, ("stage", stage.index, "stream")
            if stream in writers:
                self._refuse(place, f"{writers[stream]!r} writes stream {stream!r} already")
            if stream in readers:
                self._refuse(place, f"{readers[stream]!r} reads stream {stream!r}; take another")
            writers.setdefault(stream, stage.name)

    def _ends(self, name: str) -> bool:
        stage = self.stages.get(name)
        return self._kinds[name].role == "sink" or (stage is not None and stage.is_tap)

    def _place(self, name: str) -> Location:
        names = [stage.called for stage in self._config.stages]
        return "stage", names.index(name)

    # --- forms

    def _plan(self, stage: CheckedStage) -> None:
        """What comes to a stage, and what it makes of it."""
        try:
            self.stages[stage.name] = self._planned(self._with_forms(stage))
        except (RingdaqError, OSError) as error:
            key = getattr(error, "key", "")
            place = ("stage", stage.index, key) if key else ("stage", stage.index)
            self._refuse(place, f"stage {stage.name!r}: {error}")

    def _with_forms(self, stage: CheckedStage) -> CheckedStage:
        """A stage that knows what comes to it."""
        ports = stage.kind.inputs
        if not ports:
            return replace(stage, given=self._given(stage.name, ""))
        there = [edge.port for edge in self._edges if edge.target == stage.name]
        if len(there) > len(ports):
            raise RefusedError(f"has {len(ports)} ways in; found {len(there)}", "input")
        if set(ports) != set(there):
            raise RefusedError(
                f'needs {len(ports)} ways in, {" and ".join(ports)}; write input = ["A", "B"]'
            )
        first, second = (self._given(stage.name, port) for port in ports)
        given = first if second is not None else None
        return replace(stage, given=given, site=replace(stage.site, second=second))

    def _given(self, name: str, port: str) -> PacketFormat | None:
        """The form of what comes by a way in, which is one however many edges join."""
        edges = [edge for edge in self._edges if (edge.target, edge.port) == (name, port)]
        before = [edge.source for edge in edges if edge.carries != "triggers"]
        if edges and not before:
            raise RefusedError("is given triggers only, no packets")
        forms = [self.stages[source].output for source in before if source in self.stages]
        known = [form for form in forms if form is not None]
        if any(form != known[0] for form in known):
            raise RefusedError(
                f"what joins here must have one form; found {' and '.join(map(told, known))}",
                "input",
            )
        return known[0] if known and len(known) == len(before) else None

    def _planned(self, stage: CheckedStage) -> CheckedStage:
        if stage.kind.role == "source":
            if getattr(stage.part, "connects", False) and not self._connect:
                return stage
            return replace(stage, output=self._form_of(stage))
        if stage.given is None:
            return stage
        if stage.kind.role == "sink":
            check_sink(stage.part, stage.given)
            return stage
        assert isinstance(stage.options, Transform)
        if stage.is_tap:
            return replace(stage, part=stage.make_part())
        planned = stage.options.plan(stage.given, stage.site)
        return replace(stage, planned=planned, output=planned.output)

    def _form_of(self, stage: CheckedStage) -> PacketFormat | None:
        """What a source makes; None if it is away, which another try may find otherwise."""
        reaches = getattr(stage.part, "connects", False) or _is(stage, RingSource)
        try:
            return sane(stage.part.format())
        except UnknownStreamError:
            raise
        except (NotConnectedError, StreamError) as error:
            if not (reaches and self._connect):
                raise
            self._absent.append(f"stage {stage.name!r}: {error}")
            return None


def _is(stage: CheckedStage, part: type) -> bool:
    return isinstance(stage.part, part)


def sane(form: PacketFormat) -> PacketFormat:
    """Refuse a source's form that the core cannot count in."""
    rate = form.rate
    if not 0 < rate <= MOST_HZ or rate.denominator > MOST_HZ:
        raise RefusedError(
            f"a rate lies above 0 and up to {MOST_HZ} Hz, and is a fraction of numbers up to that; "
            f"found {float(rate):g} Hz"
        )
    if not form.channels or not 0 < form.samples <= MOST_SAMPLES:
        raise RefusedError(
            f"packets hold 1 to {MOST_SAMPLES} samples of at least one channel; "
            f"found {form.samples} of {len(form.channels)}"
        )
    return form


def check_sink(sink: Any, given: PacketFormat) -> None:
    """Refuse packets that a sink cannot take."""
    takes = getattr(sink, "takes", None)
    if takes is not None and given.kind not in takes:
        raise RefusedError(f"takes {' or '.join(takes)} packets; found {given.kind} ones")
    if hasattr(sink, "check"):
        sink.check(given)


def told(form: PacketFormat | None) -> str:
    """A form for people: `voltage, 32 channels × 400 samples at 4000 Hz`."""
    if form is None:
        return "not known until its source is there"
    rows = f"{len(form.rows)} rows" if form.rows else f"{form.samples} samples at {form.rate} Hz"
    often = f", {float(1 / form.period):.6g} packets/s"
    made_up = ", simulated" if form.simulated else ""
    return f"{form.kind}, {len(form.channels)} channels × {rows}{often}{made_up}"
