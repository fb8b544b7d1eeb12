"""The words of ringdaq as values: channels, streams, runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal

from ringdaq.errors import StreamError

NUMERIC_DTYPES = (
    "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
    "float32", "float64",
)  # fmt: skip
DTYPES = (*NUMERIC_DTYPES, "bool", "string")
StreamKind = Literal["rows", "samples", "frames"]
TIME = "time"
SAMPLES = "samples"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def check_name(name: str, what: str) -> str:
    """Return the name, or refuse one that cannot be a file name and an identifier on the wire."""
    if not _NAME.fullmatch(name):
        raise StreamError(
            f"a {what}'s name must be 1 to 100 letters, digits, '_', '-' or '.', "
            f"and not begin with '.' or '-'; found {name[:120]!r}"
        )
    return name


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of a stream."""

    name: str
    dtype: str
    """One of `DTYPES`."""
    unit: str = ""
    """The unit of the physical value, `""` where there is none."""
    shape: tuple[int, ...] = ()
    """Of one row's value: `()` for a number, `(height, width)` for a frame."""
    scale: float = 1.0
    """physical = stored × scale + offset."""
    offset: float = 0.0
    description: str = ""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise StreamError(
                f"channel {self.name!r}: a dtype must be one of {', '.join(DTYPES)}; "
                f"found {self.dtype!r}"
            )


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream carries.

    - `rows`: an int64 column `time` (ns since the epoch), then a column a channel, at any moment.
    - `samples`: all channels have one dtype and sit in one column `samples` of shape
      [rows, channels], at exactly `sample_rate`; a record's first time and the rate give the times.
    - `frames`: a column `time`, then channels whose first has the shape of an image.
    """

    name: str
    kind: StreamKind
    channels: tuple[Channel, ...]
    sample_rate: Fraction | None = None
    """In hertz, exact; only for `samples`."""
    instrument: str = ""
    simulated: bool = False
    """Made up on purpose; said in the ring's schema and in every file."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "stream")
        if not self.channels:
            raise StreamError(f"stream {self.name!r} must have at least one channel")
        names = [c.name for c in self.channels]
        if len(set(names)) != len(names) or TIME in names:
            raise StreamError(
                f"stream {self.name!r}: channel names must differ from each other and from "
                f"{TIME!r}; found {names}"
            )
        if self.kind == "samples":
            self._check_samples()

    def _check_samples(self) -> None:
        if self.sample_rate is None or self.sample_rate <= 0:
            raise StreamError(
                f"stream {self.name!r} of samples needs a sample rate above 0 Hz; "
                f"found {self.sample_rate}"
            )
        kinds = {c.dtype for c in self.channels}
        if len(kinds) != 1 or not kinds <= set(NUMERIC_DTYPES):
            raise StreamError(
                f"stream {self.name!r} of samples needs one numeric dtype for all channels; "
                f"found {sorted(kinds)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain values that JSON and msgpack take."""
        return {
            "name": self.name,
            "kind": self.kind,
            "channels": [
                {
                    "name": c.name,
                    "dtype": c.dtype,
                    "unit": c.unit,
                    "shape": list(c.shape),
                    "scale": c.scale,
                    "offset": c.offset,
                    "description": c.description,
                }
                for c in self.channels
            ],
            "sample_rate": str(self.sample_rate) if self.sample_rate is not None else None,
            "instrument": self.instrument,
            "simulated": self.simulated,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> StreamSpec:
        """The spec that `to_dict` described."""
        rate = plain.get("sample_rate")
        return cls(
            name=plain["name"],
            kind=plain["kind"],
            channels=tuple(Channel(**{**c, "shape": tuple(c["shape"])}) for c in plain["channels"]),
            sample_rate=None if rate is None else Fraction(rate),
            instrument=plain.get("instrument", ""),
            simulated=plain.get("simulated", False),
            metadata=dict(plain.get("metadata", {})),
        )


class RunState(StrEnum):
    """Where a run is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    """Held between two verbs, or two points of a scan, until somebody resumes it."""
    STOPPING = "stopping"
    """A stop was asked for; the script may still tidy up."""
    COMPLETED = "completed"
    STOPPED = "stopped"
    """The process is gone and the instruments are at rest."""
    FAILED = "failed"
    """The script raised an error, or a limit ended it."""
    CRASHED = "crashed"
    """The script's process died by itself."""
    INTERRUPTED = "interrupted"
    """The daemon died during the run."""

    @property
    def ended(self) -> bool:
        """Whether the run can change no more."""
        return self not in (
            RunState.PENDING,
            RunState.RUNNING,
            RunState.PAUSED,
            RunState.STOPPING,
        )
