"""The rig file as one typed tree that refuses what it does not know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from ringdaq.config.lines import Path as Location
from ringdaq.config.lines import line_of
from ringdaq.config.pipeline import PipelineConfig, PipelineEntry, pipeline_in
from ringdaq.config.problems import Problem, dotted, nearest, problems_of, raise_problems
from ringdaq.config.section import Section
from ringdaq.config.text import TextSource, read_text, read_toml
from ringdaq.config.values import Bounds, FilePath, InstrumentName, Size, StageName
from ringdaq.errors import ConfigError

MIB = 2**20
MAKES_THINGS_UP = "simulated."
"""Drivers whose names begin so make their values up."""

Positive = Annotated[float, Field(gt=0)]


class RigConfig(Section):
    """`[rig]`: what the set-up is called."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """The rig's name, in every file it records."""
    description: str = ""
    """A sentence for people."""


class DaemonConfig(Section):
    """`[daemon]`: where the daemon keeps things and what it starts."""

    ring_directory: FilePath | None = None
    """Where the rings lie; without it /dev/shm."""
    ring_group: Annotated[str, Field(min_length=1)] | None = None
    """A group whose members may read the rings; without it only the daemon's user."""
    ring_limit_bytes: Size | None = None
    """The most that the rings of all instruments may take together; without it all that is free."""
    data_directory: FilePath | None = None
    """Where recordings go; without it the user's data directory."""
    ring_capacity_bytes: Size = 4 * MIB
    """Of each stream of rows that has no `[stream.NAME]` of its own."""
    grpc_port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """Of the gateway; 0 takes any free one."""
    websocket_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Of the gateway, for browsers; without it the one after `grpc_port`, any where that is 0."""
    gateway: bool = True
    """Whether to serve the network."""
    recorder: bool = True
    """Whether to keep what runs measure."""


class TwinConfig(Section):
    """`[instrument.twin]`: what a dry run takes for granted; simulated instruments know it."""

    velocity: Positive = 10.0
    """In units of position per second."""
    acceleration: Positive = 100.0
    """In units of position per second squared."""
    settle_secs: Annotated[float, Field(ge=0)] = 0.05
    """From the end of a motion to rest."""
    reading_secs: Positive = 0.01
    """How long a reading takes."""
    exposure: Annotated[float, Field(ge=1e-5, le=10)] = 0.01
    """Of a frame, in seconds, until the script sets it."""
    readout_secs: Annotated[float, Field(ge=0.001)] = 0.005
    """From the end of an exposure to the next one's start."""
    width: Annotated[int, Field(ge=8, le=4096)] = 1024
    """Of a frame, in pixels."""
    height: Annotated[int, Field(ge=8, le=4096)] = 1024
    """Of a frame, in pixels."""


class InstrumentConfig(Section):
    """`[[instrument]]`: one thing that the daemon owns."""

    name: InstrumentName
    """How scripts call it."""
    driver: Annotated[str, Field(min_length=1)]
    """One of ringdaq's drivers, or `package.module:NAME` for one of your own."""
    simulated: bool = False
    """Must be true where the values are made up, and nowhere else."""
    poll_hz: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """How often its reading or position goes into its stream without being asked; 0 is never."""
    deadline_secs: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """How long one call, waiting for rest apart, may take before it is given up."""
    limits: dict[str, Bounds] = Field(default_factory=dict)
    """Soft limits by quantity: `{ position = [0.0, 50.0] }`, in the instrument's unit."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The driver's own settings."""
    twin: TwinConfig = Field(default_factory=TwinConfig)
    """What a dry run takes for granted; see `[instrument.twin]`."""


class StreamConfig(Section):
    """`[stream.NAME]`: how much of a stream its ring holds."""

    capacity_bytes: Size | None = None
    """The ring's size."""
    minutes: Positive | None = None
    """The ring's length in time, for streams whose rate is known."""
    rate_hz: Positive | None = None
    """Rows a second to expect, where the instrument does not say; for `minutes`."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.capacity_bytes is None) == (self.minutes is None):
            raise ValueError("write either capacity_bytes or minutes")
        return self

    def capacity_for(self, bytes_per_sec: float | None) -> int:
        """The ring's size in bytes; `minutes` needs the stream's rate and is refused without."""
        if self.capacity_bytes is not None:
            return self.capacity_bytes
        if not bytes_per_sec:
            raise ConfigError(
                "the stream's rate is not known beforehand, so its ring cannot be sized in "
                "minutes alone; write rate_hz too, or capacity_bytes instead"
            )
        return max(64 * 1024, int((self.minutes or 0) * 60 * bytes_per_sec))


class ScriptsConfig(Section):
    """`[scripts]`: what a run may spend."""

    operations: Annotated[int, Field(gt=0)] = 10_000
    """Steps of the script between two instrument calls or sleeps."""
    total_operations: Annotated[int, Field(gt=0)] = 1_000_000_000
    """Steps of the script in all."""
    verbs_per_sec: Positive = 2_000.0
    """Instrument calls, sleeps and rows a second, over ten seconds; what comes quicker waits."""
    wall_secs: Positive = 86_400.0
    """From start to end."""
    memory_bytes: Size = 512 * MIB
    """Of the script's process."""
    output_bytes: Size = MIB
    """Printed text; more ends the run."""
    stop_secs: Positive = 5.0
    """For tidying up after a stop was asked for."""
    modules: list[str] = Field(
        default_factory=lambda: [
            "cmath", "collections", "collections.abc", "dataclasses", "datetime", "functools",
            "itertools", "json", "math", "random", "statistics",
        ]
    )  # fmt: skip
    """What scripts may import."""
    policy: Literal["best-effort", "strict"] = "best-effort"
    """Where the kernel lacks landlock or seccomp: `best-effort` runs scripts, `strict` does not."""


class RecordingConfig(Section):
    """`[recording]`: how runs are kept."""

    commit_secs: Annotated[float, Field(ge=0, le=1)] = 0.05
    """How often rows are made durable; 0 is at once, at a disk's sync and some work a record."""
    flush_secs: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often the growing file shows what is new."""
    keep_journal: bool = True
    """Whether the journal stays after the file is sealed."""
    continuous: list[str] = Field(default_factory=list)
    """Streams that are recorded as long as the daemon lives; `*` is any, those of runs apart."""
    rotate_secs: Positive | None = None
    """After so long a continuous recording goes on in a new file."""
    rotate_bytes: Size | None = None
    """At that size a continuous recording goes on in a new file."""
    codec: Literal["none", "lz4", "zstd"] = "none"
    """How images are packed in the journal: `none`, `lz4` or `zstd`; needs `ringdaq[arrow]`."""
    compression: Literal["none", "gzip", "blosc2", "zstd"] = "none"
    """How files are packed: `none`, `gzip`, `blosc2` or `zstd`.

    The last two need `ringdaq[compress]`, to read them too.
    """
    chunk_bytes: Size | None = None
    """Of blocks of samples and of images in the file; without it 256 KiB."""


class Rig(Section):
    """A whole rig file."""

    rig: RigConfig
    daemon: DaemonConfig = Field(default_factory=DaemonConfig)
    instruments: list[InstrumentConfig] = Field(default_factory=list, alias="instrument")
    streams: dict[str, StreamConfig] = Field(default_factory=dict, alias="stream")
    pipelines: dict[StageName, PipelineEntry] = Field(default_factory=dict, alias="pipeline")
    scripts: ScriptsConfig = Field(default_factory=ScriptsConfig)
    recording: RecordingConfig = Field(default_factory=RecordingConfig)
    _text: str = PrivateAttr(default="")
    _path: Path = PrivateAttr(default=Path("rig.toml"))
    _lines: Mapping[Location, int] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The rig's name."""
        return self.rig.name

    @property
    def description(self) -> str:
        """A sentence for people."""
        return self.rig.description

    @property
    def text(self) -> str:
        """The file's text as it was read."""
        return self._text

    @property
    def path(self) -> Path:
        """Where the file lies, absolute."""
        return self._path

    @property
    def lines(self) -> Mapping[Location, int]:
        """The line of every key."""
        return self._lines

    def problem(self, location: Location, text: str) -> Problem:
        """Something wrong at a place of the file."""
        return Problem(line_of(location, self._lines), text)

    def pipeline(self, name: str) -> PipelineConfig:
        """A pipeline's text, from its own file where the rig names one."""
        if name not in self.pipelines:
            raise ConfigError(
                f"the rig has no pipeline {name!r}; {nearest(name, self.pipelines)}: {self._path}"
            )
        source = TextSource(self._text, self._path, self._lines)
        return pipeline_in(name, self.pipelines[name], source)

    def resolve(self, path: Path) -> Path:
        """A path written in the file; a relative one begins at the file's own folder."""
        return path if path.is_absolute() else self._path.parent / path


def load_rig(path: str | Path) -> Rig:
    """Read and check a rig file; all that is wrong is told in one `ConfigError`."""
    return parse_rig(*read_text(path, "rig"))


def parse_rig(text: str, path: Path = Path("rig.toml")) -> Rig:
    """Check a rig file's text; `path` is for messages and for relative paths in it."""
    plain, lines = read_toml(text, path, "rig")
    try:
        rig = Rig.model_validate(plain)
    except ValidationError as error:
        found = problems_of(error, Rig, lines)
        raise_problems([*found, *_across(plain, lines)], path)
        raise
    raise_problems(_across(plain, lines), path)
    rig._text, rig._path, rig._lines = text, path, lines
    for name, entry in rig.pipelines.items():
        if entry.file is None:
            rig.pipeline(name)
    return rig


def _across(plain: Mapping[str, Any], lines: Mapping[Location, int]) -> list[Problem]:
    """Rules between instruments, on the plain values so that they hold beside other errors."""
    instruments = plain.get("instrument")
    if not isinstance(instruments, list):
        return []
    found: list[Problem] = []
    seen: dict[Any, int] = {}
    for index, one in enumerate(instruments):
        if not isinstance(one, dict):
            continue
        at: Location = ("instrument", index)
        name = one.get("name")
        if isinstance(name, str) and name in seen:
            found.append(
                Problem(
                    line_of((*at, "name"), lines),
                    f"{dotted((*at, 'name'))!r}: {name!r} is the name of another instrument "
                    f"already (line {seen[name]}); names must differ",
                )
            )
        elif isinstance(name, str):
            seen[name] = line_of((*at, "name"), lines)
        found += _unmarked(one, at, lines)
    return found


def _unmarked(one: Mapping[str, Any], at: Location, lines: Mapping[Location, int]) -> list[Problem]:
    driver = one.get("driver")
    made_up = isinstance(driver, str) and driver.startswith(MAKES_THINGS_UP)
    if not made_up or one.get("simulated") is True:
        return []
    place = (*at, "simulated") if "simulated" in one else (*at, "driver")
    return [
        Problem(
            line_of(place, lines),
            f"{dotted(at)!r}: driver {driver!r} makes its values up; "
            f"write simulated = true to say that you want that",
        )
    ]


def rig_schema() -> dict[str, Any]:
    """The JSON Schema of a rig file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Rig.model_json_schema(by_alias=True),
        "title": "ringdaq rig file",
    }
