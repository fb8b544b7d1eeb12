"""Refuse a wrong Rhai script before anything moves: line, column, and what would be valid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ringdaq.errors import ScriptRejectedError
from ringdaq.scripts import rhai_entry
from ringdaq.scripts.language import HINTS, PLANS, RESERVED_COLUMN
from ringdaq.scripts.rhai import SyntaxFault, facts
from ringdaq.scripts.suggest import rejected, suggestion

_WORDS = {"import": "a script stands alone: it cannot import", "export": "a script stands alone"}
_HINTS = {"eval": "scripts cannot make code at run time", **_WORDS}


class _Fact(NamedTuple):
    kind: str
    name: str
    member: str
    line: int
    column: int


def check(
    text: str,
    instruments: Mapping[str, Collection[str]],
    withheld: Collection[str],
    filled: Mapping[str, Collection[str]] | None,
) -> None:
    """Raise `ScriptRejectedError` for the first thing that cannot work.

    What `main` does with an instrument it asks for is looked at as if it had not to ask for it.
    """
    offered = instruments if filled is None else filled
    roles = {name: offered[name] for name in rhai_entry.roles(text) if name in offered}
    found, functions = _facts(rhai_entry.without(text, roles))
    checker = _Checker({**instruments, **roles}, withheld, functions)
    for fact in found:
        message = checker.fault(fact)
        if message:
            raise rejected(message, fact.line, fact.column)


def used(text: str, names: Collection[str]) -> list[str]:
    """Which of the instruments `names` the script speaks of, sorted."""
    found, _ = _facts(text)
    return sorted({fact.name for fact in found if fact.kind == "name"} & set(names))


def _facts(text: str) -> tuple[list[_Fact], list[str]]:
    try:
        found, functions = facts(text)
    except SyntaxFault as error:
        message, line, column = error.args
        raise _syntax(message, line, column) from None
    return [_Fact(*fact) for fact in found], functions


def _syntax(message: str, line: int, column: int) -> ScriptRejectedError:
    for word, hint in _HINTS.items():
        if f"'{word}'" in message:
            return rejected(hint, line, column)
    return rejected(f"invalid syntax: {message}", line, column)


class _Checker:
    def __init__(
        self,
        instruments: Mapping[str, Collection[str]],
        withheld: Collection[str],
        functions: list[str],
    ) -> None:
        self._instruments = instruments
        self._withheld = withheld
        self._functions = {*functions, *PLANS}

    def fault(self, fact: _Fact) -> str | None:
        """What is wrong with it, if anything is."""
        match fact.kind:
            case "name":
                return self._name(fact.name)
            case "call":
                return self._call(fact.name)
            case "column" if fact.name == RESERVED_COLUMN:
                return f"emit writes {RESERVED_COLUMN!r} itself; take another name"
            case "write" if fact.name in self._instruments:
                return f"the instrument {fact.name!r} cannot be written to"
            case "verb" | "member" if fact.name in self._instruments:
                return self._verb(fact)
        return None

    def _name(self, name: str) -> str | None:
        if name in self._instruments or name == "parameters":
            return None
        if name in self._withheld:
            return f"the instrument {name!r} was not granted to this run"
        known = {*self._instruments, "parameters"}
        return f"unknown name {name!r}{suggestion(name, known)}"

    def _call(self, name: str) -> str | None:
        if name in self._functions:
            return None
        advice = f"; {HINTS[name]}" if name in HINTS else suggestion(name, self._functions)
        return f"unknown function {name!r}{advice}"

    def _verb(self, fact: _Fact) -> str | None:
        verbs = self._instruments[fact.name]
        if fact.member not in verbs:
            has = f"; it has: {', '.join(sorted(verbs)) or 'none'}"
            advice = suggestion(fact.member, verbs) or has
            return f"the instrument {fact.name!r} has no verb {fact.member!r}{advice}"
        if fact.kind == "member":
            return f"{fact.name}.{fact.member} is a verb; call it: {fact.name}.{fact.member}()"
        return None
