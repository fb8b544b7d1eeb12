"""What a script's entry point says of its parameters, in either language."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from ringdaq.errors import ScriptRejectedError
from ringdaq.scripts.language import CAPABILITIES


@dataclass(frozen=True)
class Parameter:
    """One parameter of `main`."""

    name: str
    line: int
    column: int
    annotation: str
    """A capability, a type, or `""`."""
    required: bool
    default: Any = None
    """Where it is a plain value."""
    unit: str = ""
    """What an instrument must count in, where it says so: `Movable["mm"]`."""
    span: tuple[float, float] | None = None
    """Where an instrument must be able to go, where it says so: `Movable["mm", 0, 20]`."""

    @property
    def is_instrument(self) -> bool:
        """Whether it wants an instrument."""
        return self.annotation in CAPABILITIES

    @property
    def stated(self) -> str:
        """As Python would state it: `stage: Movable['mm', 0, 20]`, `points: int = 5`."""
        inside = [repr(self.unit)] if self.unit else []
        inside += [f"{bound:g}" for bound in self.span or ()]
        kind = self.annotation + (f"[{', '.join(inside)}]" if inside else "")
        default = "" if self.required else f" = {self.default!r}"
        return (f"{self.name}: {kind}" if kind else self.name) + default

    def refused(self, message: str) -> ScriptRejectedError:
        """The error that names its place."""
        return refused(self.line, self.column, message)


@dataclass(frozen=True)
class Entry:
    """`main`, as its script states it."""

    line: int
    column: int
    parameters: list[Parameter] = field(default_factory=list)


def refused(line: int, column: int, message: str) -> ScriptRejectedError:
    """A script that is refused because of this place."""
    return ScriptRejectedError(f"line {line}, column {column}: {message}", line=line, column=column)


def parameter_of(arg: ast.arg, default: ast.expr | None, line: int, column: int) -> Parameter:
    """The parameter that an annotated argument states, which stands at that place."""
    annotation, unit, span = arg.annotation, "", None
    if isinstance(annotation, ast.Subscript):
        named = annotation.value
        if isinstance(named, ast.Name) and named.id in CAPABILITIES:
            unit, span = _wanted(annotation.slice, line, column)
        annotation = named
    return Parameter(
        name=arg.arg,
        line=line,
        column=column,
        annotation=annotation.id if isinstance(annotation, ast.Name) else "",
        required=default is None,
        default=_plain(default),
        unit=unit,
        span=span,
    )


def _plain(default: ast.expr | None) -> Any:
    try:
        return None if default is None else ast.literal_eval(default)
    except ValueError:
        return None


def _wanted(inside: ast.expr, line: int, column: int) -> tuple[str, tuple[float, float] | None]:
    """Unit and span of `["mm"]`, `["mm", 0, 20]` or `[0, 20]`."""
    try:
        given = ast.literal_eval(inside)
    except ValueError:
        given = None
    words = list(given) if isinstance(given, tuple) else [given]
    unit = words.pop(0) if words and isinstance(words[0], str) else ""
    numbers = [float(w) for w in words if isinstance(w, int | float) and not isinstance(w, bool)]
    if len(numbers) != len(words) or len(words) not in (0, 2) or numbers != sorted(numbers):
        raise refused(
            line,
            column,
            'a capability takes a unit, two bounds, or both, as in Movable["mm", 0, 20]',
        )
    return unit, (numbers[0], numbers[1]) if numbers else None
