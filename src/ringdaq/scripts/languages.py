"""The languages that scripts are written in, and which one a script has."""

from __future__ import annotations

from typing import Literal, get_args

from ringdaq.errors import ScriptRejectedError

Language = Literal["python", "rhai"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def language_of(name: str, stated: str | None = None) -> Language:
    """The language that was stated, else the one of the name's ending, else Python."""
    if stated is not None:
        if stated not in LANGUAGES:
            raise ScriptRejectedError(
                f"a script's language must be one of {', '.join(LANGUAGES)}; found {stated!r}"
            )
        return stated
    return "rhai" if name.endswith(".rhai") else "python"
