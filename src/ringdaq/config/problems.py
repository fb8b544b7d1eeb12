"""What is wrong with a rig file, said in one message: line, key, what would be valid."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ringdaq.config.lines import Path as Location
from ringdaq.config.lines import line_of
from ringdaq.errors import ConfigError


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong."""

    line: int
    """From 1; 0 where the problem is not about a line."""
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


def nearest(word: str, valid: Iterable[str]) -> str:
    """Name the valid word closest to a wrong one, or all of them where none is close."""
    words = sorted(valid)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid are {', '.join(map(repr, words))}" if words else "none is valid here"


def raise_problems(problems: Iterable[Problem], path: Path, what: str = "rig file") -> None:
    """Raise one `ConfigError` that lists all problems by line; do nothing without any."""
    found = sorted(set(problems))
    if not found:
        return
    if len(found) == 1:
        raise ConfigError(f"{found[0]}: {path}")
    listed = "\n".join(f"  {problem}" for problem in found)
    raise ConfigError(f"{len(found)} errors in the {what}:\n{listed}\nfile: {path}")


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    lines: Mapping[Location, int],
    *,
    below: Location = (),
    also: Iterable[str] = (),
) -> list[Problem]:
    """Turn a model's refusals into problems; `below` is where in the file the model's part lies.

    `also` are keys that are valid beside the model's own.
    """
    return [
        _problem(typing.cast("dict[str, typing.Any]", e), model, lines, below, also)
        for e in error.errors()
    ]


def _problem(
    error: dict[str, typing.Any],
    model: type[BaseModel],
    lines: Mapping[Location, int],
    below: Location,
    also: Iterable[str],
) -> Problem:
    location: Location = error["loc"]
    line = line_of((*below, *location), lines)
    key = dotted((*below, *location))
    if error["type"] == "extra_forbidden":
        beside = also if len(location) == 1 else ()
        hint = nearest(str(location[-1]), [*valid_keys(model, location[:-1]), *beside])
        return Problem(line, f"unknown key {key!r}; {hint}")
    if error["type"] == "missing":
        return Problem(line, f"the key {key!r} is missing; write it here")
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "value_error" else f"; found {error['input']!r}"
    return Problem(line, f"{key!r}: {message[:1].lower()}{message[1:]}{found}")


def dotted(location: Location) -> str:
    """Write a place in the file as `instrument[0].limits.position`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def valid_keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that a model takes at a place below it."""
    here: typing.Any = model
    for part in location:
        here = _step(here, part)
    if not _is_model(here):
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _step(annotation: typing.Any, part: str | int) -> typing.Any:
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part in (field.alias, name):
                return _bare(field.annotation)
        return None
    arguments = typing.get_args(annotation)
    return _bare(arguments[-1]) if arguments else None


def _bare(annotation: typing.Any) -> typing.Any:
    """Strip `Annotated` and `| None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kept = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        return _bare(kept[0]) if kept else None
    return annotation


def _is_model(annotation: typing.Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
