"""Values as people write them in a rig file: sizes, bounds, names, paths."""

import builtins
import keyword
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")

# What a script has beside its instruments, which one of that name would hide; and `run`, whose
# streams are the runs' own.
RESERVED_NAMES = frozenset(
    {"sleep", "emit", "progress", "parameters", "log", "main", "ringdaq", "run", *dir(builtins)}
)


def parse_size(value: Any) -> int:
    """Bytes from `67108864` or `"64 MiB"`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f'write a size as bytes or as text such as "64 MiB"; found {value!r}')
    size: Any = value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None or match.group(2).lower() not in _UNITS:
            raise ValueError(
                f'write a size as bytes or as text such as "64 MiB" '
                f"(B, kB, MB, GB, KiB, MiB, GiB); found {value!r}"
            )
        size = int(float(match.group(1)) * _UNITS[match.group(2).lower()])
    if size <= 0:
        raise ValueError(f"a size must be above 0 bytes; found {value!r}")
    return int(size)


def parse_bounds(value: Any) -> tuple[float, float]:
    """Two finite numbers, the lower one first."""
    numbers = isinstance(value, list | tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    )
    if not numbers or len(value) != 2:
        raise ValueError(f"write both bounds as [lowest, highest]; found {value!r}")
    low, high = map(float, value)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"both bounds must be finite numbers; found [{low}, {high}]")
    if low >= high:
        raise ValueError(
            f"the lower bound comes first and must lie below the upper one; found [{low}, {high}]"
        )
    return low, high


def parse_path(value: Any) -> Path:
    """A path, `~` expanded."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"write a path as text; found {value!r}")
    return Path(value).expanduser()


_STAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,59}")


def check_stage_name(value: Any) -> str:
    """A stage's name has no dots; a port of it is written as `stage.port`."""
    if not isinstance(value, str) or not _STAGE.fullmatch(value):
        raise ValueError(
            f"a name is 1 to 60 letters, digits, '_' and '-', and does not begin with '-'; "
            f"found {value!r}"
        )
    return value


def parse_port(value: Any) -> str:
    """A stage's name, or `stage.port` where a stage has more than one way in."""
    for part in str(value).split(".", 1):
        check_stage_name(part)
    return check_stage_name(value) if not isinstance(value, str) else value


def parse_rate(value: Any) -> Fraction:
    """An exact rate in hertz from `250`, `0.5` or `"3000/7"`."""
    try:
        rate = Fraction(str(value)) if isinstance(value, int | float | str) else None
    except (ValueError, ZeroDivisionError):
        rate = None
    if isinstance(value, bool) or rate is None or not 0 < rate <= 10**9:
        raise ValueError(
            f'write a rate in hertz as a number above 0 or as text such as "3000/7"; '
            f"found {value!r}"
        )
    return rate


def check_instrument_name(value: str) -> str:
    """An instrument's name is a variable in scripts, so it must be a name there."""
    if not value.isidentifier() or not value.isascii() or keyword.iskeyword(value):
        raise ValueError(
            f"an instrument's name is a variable in scripts: write letters, digits and '_', "
            f"a letter first; found {value!r}"
        )
    if value.startswith("_") or len(value) > 60 or value in RESERVED_NAMES:
        raise ValueError(
            f"an instrument's name must not begin with '_', be longer than 60 characters, or hide "
            f"what every script has, such as sleep, emit, print or range; found {value!r}"
        )
    return value


_SIZE_SCHEMA = {
    "anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}],
    "examples": ["64 MiB", 67108864],
}
_BOUNDS_SCHEMA = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
Bounds = Annotated[
    tuple[float, float], BeforeValidator(parse_bounds), WithJsonSchema(_BOUNDS_SCHEMA)
]
FilePath = Annotated[Path, BeforeValidator(parse_path)]
InstrumentName = Annotated[str, BeforeValidator(lambda v: check_instrument_name(str(v)))]
StageName = Annotated[str, BeforeValidator(check_stage_name), WithJsonSchema({"type": "string"})]
Port = Annotated[str, BeforeValidator(parse_port), WithJsonSchema({"type": "string"})]
RateHz = Annotated[
    Fraction,
    BeforeValidator(parse_rate),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": [250, "3000/7"]}
    ),
]
