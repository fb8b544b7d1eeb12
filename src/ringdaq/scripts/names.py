"""Which names a piece of a script binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def bound_names(tree: ast.AST) -> set[str]:
    """Every name that is bound in `tree`, at whatever depth."""
    return {name for node in ast.walk(tree) for name in _binds(node)}


def module_names(tree: ast.Module) -> set[str]:
    """The names bound at the outermost level, or declared global further in."""
    found: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        found.update(_binds(node, inside=False))
        if isinstance(node, (*_INNER, *_COMPREHENSIONS)):
            globals_ = [n for n in ast.walk(node) if isinstance(n, ast.Global)]
            found.update(name for g in globals_ for name in g.names)
        else:
            todo.extend(ast.iter_child_nodes(node))
    return found


def _binds(node: ast.AST, *, inside: bool = True) -> Iterator[str]:
    """The names that this one node binds; `inside` adds a function's arguments."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name.split(".")[0] for alias in names)
        case ast.ExceptHandler(name=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Global(names=declared) | ast.Nonlocal(names=declared):
            yield from declared
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.arg(arg=name) if inside:
            yield name
        case _ if type(node).__name__ == "TypeAlias" or hasattr(node, "bound"):
            yield from _type_names(node)


def _type_names(node: ast.AST) -> Iterator[str]:
    """`type X = …` binds through a Name node already; a type parameter has a bare name."""
    name = getattr(node, "name", None)
    if isinstance(name, str):
        yield name
