"""The typed entry point of a Rhai script: `fn main(stage, points)`, told by the lines above it.

    /// stage: Movable["mm"]
    /// points: int = 5
    fn main(stage, points) { … }

A script has one if it defines `main` and does not speak of it again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from ringdaq.scripts.language import source_lines
from ringdaq.scripts.parameters import Entry, Parameter, parameter_of, refused

_MAIN = re.compile(r"^fn[ \t]+main[ \t]*\(([\w \t,]*)\)", re.MULTILINE)
_SPOKEN = re.compile(r"\bmain\s*\(")
_STATED = re.compile(r"^\s*///\s*(\w+)\s*:\s*(.+?)\s*$")
_MOST_CHARACTERS = 500
_RHAI_VALUES = {"true": "True", "false": "False", "()": "None"}


def entry_of(text: str) -> Entry | None:
    """The entry point, or `None` where the script runs from its first line to its last."""
    lines = source_lines(text)
    spoken = [n for n, line in enumerate(lines) if _SPOKEN.search(line.split("//")[0])]
    found = _MAIN.match(lines[spoken[0]]) if len(spoken) == 1 else None
    if found is None:
        return None
    names = [name.strip() for name in found[1].split(",") if name.strip()]
    stated = _stated(lines, spoken[0])
    return Entry(spoken[0] + 1, 1, [_parameter(n, stated, spoken[0] + 1) for n in names])


def roles(text: str) -> list[str]:
    """The parameters by which `main` asks for instruments."""
    entry = entry_of(text)
    return [p.name for p in entry.parameters if p.is_instrument] if entry else []


def without(text: str, names: Collection[str]) -> str:
    """The text with those parameters of `main` taken out; nothing else changes its place."""
    found = _MAIN.search(text)
    if found is None or not names:
        return text
    start, end = found.span(1)
    kept = [name for name in found[1].split(",") if name.strip() not in names]
    return text[:start] + ",".join(kept).strip().ljust(end - start) + text[end:]


def _stated(lines: list[str], main: int) -> dict[str, tuple[int, str]]:
    """What the comment above `main` says of each name, and in which line."""
    found = {}
    first = main
    while first > 0 and lines[first - 1].lstrip().startswith("///"):
        first -= 1
        match = _STATED.match(lines[first])
        if match:
            found[match[1]] = first + 1, match[2]
    return found


def _parameter(name: str, stated: dict[str, tuple[int, str]], main: int) -> Parameter:
    if name not in stated:
        return Parameter(name, main, 1, "", required=True)
    line, words = stated[name]
    kind, equals, default = words[:_MOST_CHARACTERS].partition("=")
    default = _RHAI_VALUES.get(default.strip(), default.strip())
    try:
        tree = ast.parse(f"def main(*, {name}: {kind} {equals} {default}): pass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refused(
            line, 1, f"main's {name!r} must be stated as in '/// {name}: int = 5'; found {words!r}"
        ) from None
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    return parameter_of(function.args.kwonlyargs[0], function.args.kw_defaults[0], line, 1)
