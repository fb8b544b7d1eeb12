"""How a refused script is told: where, and what would have been valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ringdaq.errors import ScriptRejectedError


def rejected(message: str, line: int, column: int) -> ScriptRejectedError:
    """The error with its place; a line of 0 is unknown."""
    place = f"line {line}, column {column}: " if line else ""
    return ScriptRejectedError(place + message, line=line, column=column)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'position'?` or nothing."""
    near = difflib.get_close_matches(name, [k for k in known if not k.startswith("__")], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
