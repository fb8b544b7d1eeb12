"""The typed entry point `def main(stage: Movable, points: int = 5)`: what it needs, and binding it.

A script has one if it defines `main` at its outermost level and does not speak of it there again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringdaq.errors import GrantError, MissingCapabilityError, ScriptRejectedError
from ringdaq.scripts.language import CAPABILITIES

_TYPES: dict[str, tuple[type[Any], ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
}


_DEFINES_MAIN = re.compile(r"^def\s+main\b", re.MULTILINE)


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

    @property
    def is_instrument(self) -> bool:
        """Whether it wants an instrument."""
        return self.annotation in CAPABILITIES


@dataclass(frozen=True)
class Binding:
    """What `main` is called with."""

    instruments: dict[str, str] = field(default_factory=dict)
    """The instrument's name, by parameter."""
    values: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    """Of the parameters that were not given."""

    def to_dict(self) -> dict[str, Any]:
        """As it goes to the script's process."""
        return {"instruments": self.instruments, "values": self.values}


def main_of(tree: ast.Module) -> ast.FunctionDef | None:
    """The entry point, or `None` where the script runs from its first line to its last."""
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    if len(found) != 1:
        return None
    for node in tree.body:
        if node is not found[0] and any(_is_main(n) for n in ast.walk(node)):
            return None
    return found[0]


def _parsed_main(text: str) -> ast.FunctionDef | None:
    if not _DEFINES_MAIN.search(text):
        return None
    try:
        return main_of(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the check of the script says so


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "main"


def parameters_of(main: ast.FunctionDef) -> list[Parameter]:
    """The parameters in order; refuses those that cannot be given by name."""
    given = main.args
    for extra in (given.vararg, given.kwarg, *given.posonlyargs):
        if extra is not None:
            raise _refused(extra, f"main's {extra.arg!r} cannot be given by name")
    defaults: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    pairs = [*zip(given.args, [*defaults, *given.defaults], strict=True)]
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return [_parameter(arg, default) for arg, default in pairs]


def roles(
    main: ast.FunctionDef | None, instruments: Mapping[str, Collection[str]]
) -> dict[str, Collection[str]]:
    """The verbs of each instrument that `main` asks for and that has the rig's own name for it."""
    if main is None:
        return {}
    wanted = [p.name for p in parameters_of(main) if p.is_instrument]
    return {name: instruments[name] for name in wanted if name in instruments}


def _parameter(arg: ast.arg, default: ast.expr | None) -> Parameter:
    annotation = arg.annotation
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    value: Any = None
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except ValueError:
            value = None
    return Parameter(
        name=arg.arg,
        line=arg.lineno,
        column=arg.col_offset + 1,
        annotation=annotation.id if isinstance(annotation, ast.Name) else "",
        required=default is None,
        default=value,
    )


def _refused(place: ast.arg | Parameter, message: str) -> ScriptRejectedError:
    if isinstance(place, ast.arg):
        line, column = place.lineno, place.col_offset + 1
    else:
        line, column = place.line, place.column
    return ScriptRejectedError(f"line {line}, column {column}: {message}", line=line, column=column)


def bind(
    text: str,
    given: Mapping[str, Any],
    capabilities: Mapping[str, Collection[str]],
    granted: Collection[str] | None,
) -> Binding | None:
    """Fit the run's parameters to the script's entry point; `None` where it has none.

    `capabilities` has those of every instrument of the rig; `granted` are the instruments that
    the run was granted by name. Raises before anything moves: `ScriptRejectedError`,
    `MissingCapabilityError` or `GrantError`, with the line in the message.
    """
    main = _parsed_main(text)
    if main is None:
        return None
    binding = Binding()
    parameters = parameters_of(main)
    _check_names(main, parameters, given)
    for parameter in parameters:
        if parameter.is_instrument:
            name = _instrument(parameter, given, capabilities)
            if granted is not None and name not in granted:
                raise GrantError(
                    f"line {parameter.line}: main needs {parameter.name!r}, and the run was not "
                    f"granted the instrument {name!r}"
                )
            binding.instruments[parameter.name] = name
        elif parameter.name in given:
            binding.values[parameter.name] = _value(parameter, given[parameter.name])
        elif parameter.required:
            kind = parameter.annotation or "value"
            raise _refused(parameter, f"main needs {parameter.name!r}; start the run with a {kind}")
        else:
            binding.defaults[parameter.name] = parameter.default
    return binding


def _check_names(
    main: ast.FunctionDef, parameters: list[Parameter], given: Mapping[str, Any]
) -> None:
    names = [p.name for p in parameters]
    for name in given:
        if name not in names:
            raise ScriptRejectedError(
                f"line {main.lineno}: main has no parameter {name!r}; "
                f"it has: {', '.join(names) or 'none'}",
                line=main.lineno,
                column=main.col_offset + 1,
            )


def _instrument(
    parameter: Parameter, given: Mapping[str, Any], capabilities: Mapping[str, Collection[str]]
) -> str:
    name = given.get(parameter.name, parameter.name)
    able = sorted(n for n, has in capabilities.items() if parameter.annotation in has)
    choice = f"{parameter.annotation} are: {', '.join(able) or 'none'}"
    if not isinstance(name, str) or name not in capabilities:
        raise _refused(
            parameter,
            f"main needs {parameter.name!r}, and the rig has no instrument {name!r:.80}; start the "
            f"run with its name; {choice}",
        )
    if name not in able:
        raise MissingCapabilityError(
            f"line {parameter.line}, column {parameter.column}: main needs a "
            f"{parameter.annotation} as {parameter.name!r}; {name} is none; {choice}",
            instrument=name,
        )
    return name


def _value(parameter: Parameter, value: Any) -> Any:
    wanted = _TYPES.get(parameter.annotation)
    if wanted is None:
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise _refused(
            parameter,
            f"main's {parameter.name!r} must be a {parameter.annotation}; found {value!r:.80}",
        )
    return float(value) if wanted == (float, int) else value
