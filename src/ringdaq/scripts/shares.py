"""What share of the whole run each loop is, as far as the text tells.

Only loops with verbs in them count, and calls of functions that have such loops:
the rest of a script takes no time worth showing.
Those of one block take equal shares; a loop divides its share among its turns while it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from ringdaq.scripts.language import PLANS
from ringdaq.scripts.names import bound_names

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NOT_RUN = (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)


class Share(NamedTuple):
    """A part of what encloses a statement: a turn of a loop, a call, the run; 0 to 1."""

    offset: float
    weight: float


def shares(tree: ast.Module, instruments: Mapping[str, Collection[str]]) -> dict[ast.stmt, Share]:
    """The shares of all loops that count, and of all statements that call them."""
    verbs = {verb for names in instruments.values() for verb in names}
    functions = [n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS)]
    plans = set(PLANS) - bound_names(tree)
    finder = _Finder(functions, verbs | {"sleep", *instruments}, plans)
    for scope in (tree, *functions):
        finder.divide(scope.body, 0.0, 1.0)
    return finder.found


class _Finder:
    def __init__(
        self,
        functions: list[ast.FunctionDef | ast.AsyncFunctionDef],
        verbs: set[str],
        plans: set[str],
    ) -> None:
        self.found: dict[ast.stmt, Share] = {}
        self._timed = verbs | _spread(functions, lambda f, names: _mentions(f, verbs | names))
        self._plans = plans
        self._looping: set[str] = set()
        self._looping = _spread(functions, self._loops)

    def divide(self, block: list[ast.stmt], offset: float, weight: float) -> None:
        busy = [s for s in block if not isinstance(s, _NOT_RUN) and self._loops(s, self._looping)]
        for index, statement in enumerate(busy):
            part = weight / len(busy)
            self._share(statement, offset + index * part, part)

    def _share(self, statement: ast.stmt, offset: float, weight: float) -> None:
        match statement:
            case ast.For(body=body):
                self.found[statement] = Share(offset, weight)
                self.divide(body, 0.0, 1.0)
            case ast.While(body=body):
                # Nobody knows how long: what happens inside must not move the figure.
                self.found[statement] = Share(offset, 0.0)
            case ast.If() | ast.With() | ast.Try() | ast.Match():
                for inner in _blocks(statement):
                    self.divide(inner, offset, weight)
            case _:
                self.found[statement] = Share(offset, weight)

    def _loops(self, node: ast.AST, looping: set[str]) -> bool:
        return (
            _mentions(node, looping)
            or _calls(node, self._plans)
            or any(
                isinstance(n, (ast.For, ast.While)) and _mentions(n, self._timed)
                for n in ast.walk(node)
            )
        )


def _spread(
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef],
    has: Callable[[ast.AST, set[str]], bool],
) -> set[str]:
    """The names of the functions that have it, directly or through a function that they call."""
    names: set[str] = set()
    while new := {f.name for f in functions if f.name not in names and has(f, names)}:
        names |= new
    return names


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(n, ast.Name) and n.id in names)
        or (isinstance(n, ast.Attribute) and n.attr in names)
        for n in ast.walk(node)
    )


def _calls(node: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in names
        for n in ast.walk(node)
    )


def _blocks(statement: ast.If | ast.With | ast.Try | ast.Match) -> Iterator[list[ast.stmt]]:
    """The blocks of which each may run."""
    match statement:
        case ast.If(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.With(body=body):
            yield body
        case ast.Try(body=body, handlers=handlers):
            yield from (body, *(handler.body for handler in handlers))
        case ast.Match(cases=cases):
            yield from (case.body for case in cases)
