"""The typed entry point of a Python script: `def main(stage: Movable["mm"], points: int = 5)`.

A script has one if it defines `main` at its outermost level and does not speak of it there again.
"""

from __future__ import annotations

import ast
import re

from ringdaq.scripts.parameters import Entry, Parameter, parameter_of, refused

_DEFINES_MAIN = re.compile(r"^def\s+main\b", re.MULTILINE)


def entry_of(text: str) -> Entry | None:
    """The entry point, or `None` where the script runs from its first line to its last."""
    if not _DEFINES_MAIN.search(text):
        return None
    try:
        main = main_of(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the check of the script says so
    if main is None:
        return None
    return Entry(main.lineno, main.col_offset + 1, parameters_of(main))


def main_of(tree: ast.Module) -> ast.FunctionDef | None:
    """The function that is the entry point, if there is one."""
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"]
    if len(found) != 1:
        return None
    for node in tree.body:
        if node is not found[0] and any(_is_main(n) for n in ast.walk(node)):
            return None
    return found[0]


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "main"


def parameters_of(main: ast.FunctionDef) -> list[Parameter]:
    """The parameters in order; refuses those that cannot be given by name."""
    given = main.args
    for extra in (given.vararg, given.kwarg, *given.posonlyargs):
        if extra is not None:
            raise refused(
                extra.lineno, extra.col_offset + 1, f"main's {extra.arg!r} cannot be given by name"
            )
    defaults: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    pairs = [*zip(given.args, [*defaults, *given.defaults], strict=True)]
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return [parameter_of(a, default, a.lineno, a.col_offset + 1) for a, default in pairs]


def roles(main: ast.FunctionDef | None) -> list[str]:
    """The parameters by which `main` asks for instruments."""
    return [] if main is None else [p.name for p in parameters_of(main) if p.is_instrument]
