"""The text of a pipeline as one typed tree: stages in order, and what leads where."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from ringdaq.config.lines import Path as Location
from ringdaq.config.lines import line_of
from ringdaq.config.problems import Problem, nearest, problems_of, raise_problems
from ringdaq.config.section import Section
from ringdaq.config.text import TextSource, read_text, read_toml
from ringdaq.config.values import Port, StageName
from ringdaq.errors import ConfigError

WHAT = "pipeline file"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")

Plane = Literal["data_plane", "control_plane"]
OnError = Literal["stop", "bypass", "restart"]
Policy = Literal["block", "drop_oldest", "drop_newest", "fail"]


class PoolConfig(Section):
    """`[pool.NAME]`: the most that packets may take; `[pool.default]` bounds every stage's."""

    channels: Annotated[int, Field(ge=1, le=4096)] = 32
    """Of a packet, at most."""
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    """Rows of a packet, at most."""
    packets: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """So many are made for the stages that name it; without a name, no branch may need more."""


class StageConfig(Section):
    """`[[stage]]`: one source, transform or sink; all other keys are its type's own."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(min_length=1)]
    """What it does: one of ringdaq's types, or a plugin's name."""
    name: StageName | None = None
    """What others call it; without it, its type."""
    input: Port | list[Port] | None = None
    """Whom it follows, or several that join; without it, the nearest source or transform above."""
    stage_type: Plane | None = None
    """A native thread, or Python's own loop; without it, whichever is its type's."""
    on_error: OnError = "stop"
    """What a failure leads to: the path ends, the packet goes on as it is, or a new beginning."""
    pool: str | None = None
    """The `[pool.NAME]` that its results come from; without it, a pool that fits its thread."""
    latency_secs: Annotated[float, Field(gt=0, le=3600)] | None = None
    """The longest it may take for a packet; the queue before it must hold what comes meanwhile."""

    @property
    def called(self) -> str:
        """Its name."""
        return self.name or self.type

    @property
    def inputs(self) -> list[str]:
        """What it says it takes."""
        if self.input is None:
            return []
        return [self.input] if isinstance(self.input, str) else self.input

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys that are its type's own, as written."""
        return dict(self.model_extra or {})


OWN_KEYS = frozenset(StageConfig.model_fields)
"""Keys of every stage, which no type may have as its own."""


class ConnectionConfig(Section):
    """`[[connection]]`: a way from a stage to another, or how an existing one is to be."""

    from_: Annotated[Port, Field(alias="from")]
    """Where packets come from."""
    to: Port
    """Where they go."""
    capacity: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Packets that may wait; without it 8, or as many as a stage's `latency_secs` needs."""
    policy: Policy = "block"
    """What happens when they are that many."""
    thread: bool = False
    """Whether what follows runs on a thread of its own."""
    carries: Literal["all", "packets", "triggers"] = "all"
    """What goes over it; triggers alone may come from packets of another form."""


class PlacementConfig(Section):
    """`[placement]`: where and how urgently the threads run."""

    cores: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    """Processor cores for the threads, one each in turn; without any, wherever there is room."""
    priority: Annotated[int, Field(ge=0, le=99)] = 0
    """Real-time priority, where the system grants it; 0 is none."""


Preset = dict[str, dict[str, Any]]


class PipelineBody(Section):
    """What a pipeline is made of."""

    description: str = ""
    """A sentence for people."""
    pools: dict[str, PoolConfig] = Field(default_factory=dict, alias="pool")
    stages: list[StageConfig] = Field(default_factory=list, alias="stage")
    connections: list[ConnectionConfig] = Field(default_factory=list, alias="connection")
    presets: dict[str, Preset] = Field(default_factory=dict, alias="preset")
    placement: PlacementConfig = Field(default_factory=PlacementConfig)


class PipelineFile(PipelineBody):
    """A pipeline file."""

    version: Literal[1] = 1
    """Of the file's form."""
    name: StageName | None = None
    """What the pipeline is called; without it, the file's own name."""


class PipelineEntry(PipelineBody):
    """`[pipeline.NAME]` of a rig file: a file of its own, or the stages in place."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """A pipeline file, relative to the rig file."""
    use_preset: str | None = None
    """The preset it starts with."""
    start: bool = True
    """Whether the daemon starts it by itself."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.file is None) == (not self.stages):
            raise ValueError("write either file or stages, [[pipeline.NAME.stage]]")
        return self


class PipelineConfig:
    """A pipeline's text, read: what it says, and where each key stands."""

    def __init__(
        self,
        name: str,
        body: PipelineBody,
        source: TextSource,
        *,
        below: Location = (),
        preset: str = "",
    ) -> None:
        self.name = name
        self.body = body
        self.preset = preset
        """The preset that was applied, `""` without one."""
        self._source = source
        self._below = below

    @property
    def description(self) -> str:
        """A sentence for people."""
        return self.body.description

    @property
    def stages(self) -> list[StageConfig]:
        """In the order of the text."""
        return self.body.stages

    @property
    def text(self) -> str:
        """The whole file that it was read from."""
        return self._source.text

    @property
    def path(self) -> Path:
        """Where that file lies, absolute."""
        return self._source.path

    @property
    def hash(self) -> str:
        """SHA-256 of the text and the preset's name, in hex."""
        return hashlib.sha256(f"{self.preset}\n{self.text}".encode()).hexdigest()

    def line(self, location: Location) -> int:
        """The line of a place below the pipeline's own part of the file."""
        return line_of((*self._below, *location), self._source.lines)

    def problem(self, location: Location, text: str) -> Problem:
        """Something wrong at a place below the pipeline's own part of the file."""
        return Problem(self.line(location), text)

    def problems_of(
        self, error: ValidationError, model: type[Section], location: Location
    ) -> list[Problem]:
        """What a model refused of the part of the file at a place."""
        below = (*self._below, *location)
        return problems_of(error, model, self._source.lines, below=below, also=OWN_KEYS)

    def resolve(self, path: str | Path) -> Path:
        """A path written in the text; a relative one begins at the file's own folder."""
        path = Path(path).expanduser()
        return path if path.is_absolute() else self.path.parent / path

    def code(self) -> dict[str, str]:
        """The texts of the Python files that stages name, as they are now, by their paths there.

        One that cannot be read is missing: the pipeline does not start with it.
        """
        named = {str(stage.parameters.get("file", "")) for stage in self.stages}
        found = {}
        for name in sorted(one for one in named if one.endswith(".py")):
            with contextlib.suppress(OSError):
                found[name] = self.resolve(name).read_text("utf-8", "backslashreplace")
        return found

    def with_preset(self, name: str) -> Self:
        """The pipeline with a preset's values; a `ConfigError` names the nearest."""
        presets = self.body.presets
        if name not in presets:
            raise ConfigError(f"no preset {name!r}; {nearest(name, presets)}: {self.path}")
        problems: list[Problem] = []
        stages = [self._preset(stage, name, problems) for stage in self.stages]
        raise_problems(problems, self.path, WHAT)
        body = self.body.model_copy(update={"stages": stages})
        moved = {
            (*self._below, "stage", index, key): self.line(("preset", name, stage.called, key))
            for index, stage in enumerate(stages)
            for key in presets[name].get(stage.called, {})
        }
        source = replace(self._source, lines={**self._source.lines, **moved})
        return type(self)(self.name, body, source, below=self._below, preset=name)

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """The pipeline with other parameters, `stage.parameter`; the check says if they fit."""
        stages = {stage.called: stage for stage in self.stages}
        for key, value in values.items():
            name, _, parameter = key.partition(".")
            if name not in stages or not parameter or parameter in OWN_KEYS:
                raise ConfigError(
                    f"write stage.parameter, where the stage is there and the parameter its "
                    f"type's own; found {key!r}; {nearest(name, stages)}: {self.path}"
                )
            stages[name] = stages[name].model_copy(update={parameter: value})
        body = self.body.model_copy(update={"stages": list(stages.values())})
        return type(self)(self.name, body, self._source, below=self._below, preset=self.preset)

    def _preset(self, stage: StageConfig, name: str, problems: list[Problem]) -> StageConfig:
        values = self.body.presets[name].get(stage.called, {})
        written = stage.model_dump(exclude_unset=True)
        try:
            return StageConfig.model_validate(written | values)
        except ValidationError as error:
            problems += self.problems_of(error, StageConfig, ("preset", name, stage.called))
            return stage


def load_pipeline(path: str | Path) -> PipelineConfig:
    """Read and check a pipeline file; all that is wrong is told in one `ConfigError`.

    This checks the text alone; whether its stages fit is `ringdaq.pipeline.check`'s to say.
    """
    return parse_pipeline(*read_text(path, "pipeline"))


def parse_pipeline(text: str, path: Path = Path("pipeline.toml")) -> PipelineConfig:
    """Check a pipeline file's text; `path` is for messages and for relative paths in it."""
    plain, lines = read_toml(text, path, "pipeline")
    try:
        found = PipelineFile.model_validate(plain)
    except ValidationError as error:
        raise_problems(problems_of(error, PipelineFile, lines), path, WHAT)
        raise
    name = found.name or _NO_NAME.sub("_", path.stem)
    config = PipelineConfig(name, found, TextSource(text, path, lines))
    check_names(config)
    return config


def pipeline_in(name: str, entry: PipelineEntry, source: TextSource) -> PipelineConfig:
    """A pipeline of a rig file, with its preset."""
    if entry.file is None:
        config = PipelineConfig(name, entry, source, below=("pipeline", name))
        check_names(config)
    else:
        config = load_pipeline(source.path.parent / Path(entry.file).expanduser())
        config.name = name
    return config.with_preset(entry.use_preset) if entry.use_preset else config


def check_names(config: PipelineConfig) -> None:
    """Refuse names that are used twice or lead nowhere."""
    raise_problems(_wrong_names(config), config.path, WHAT)


def _wrong_names(config: PipelineConfig) -> Iterator[Problem]:
    if not config.stages:
        yield config.problem((), "a pipeline needs stages; write [[stage]] with a type")
    seen: dict[str, int] = {}
    for index, stage in enumerate(config.stages):
        at = ("stage", index, "name" if stage.name else "type")
        if stage.called in seen:
            yield config.problem(
                at,
                f"{stage.called!r} is the name of another stage already "
                f"(line {seen[stage.called]}); give this one a name of its own",
            )
        seen.setdefault(stage.called, config.line(at))
        if stage.pool is not None and stage.pool not in config.body.pools:
            hint = nearest(stage.pool, config.body.pools)
            yield config.problem(("stage", index, "pool"), f"no pool {stage.pool!r}; {hint}")
    for name, preset in config.body.presets.items():
        for stage_name, values in preset.items():
            yield from _wrong_preset(config, ("preset", name, stage_name), values, seen)


def _wrong_preset(
    config: PipelineConfig, at: Location, values: Mapping[str, Any], stages: Mapping[str, int]
) -> Iterator[Problem]:
    if at[-1] not in stages:
        yield config.problem(at, f"no stage {at[-1]!r}; {nearest(str(at[-1]), stages)}")
    for key in values:
        if key in ("name", "type", "input"):
            yield config.problem((*at, key), f"a preset cannot change {key!r} of a stage")
