"""Weave the meter into a script's syntax tree.

The names woven in begin with a dot, which no script can write, read or shadow.

- `.tick(line)` before every statement, and in every turn of a comprehension and call of a lambda.
- `.each(iterable, offset, weight)` around what a `for` loop with verbs in it walks over;
  `.enter(offset, weight)` and `.leave()` around other statements that take a share of the run.
- `.shield()` and `.unshield()` around `finally` blocks and `__exit__` methods, `.handle()` and
  `.unhandle()` around `except` blocks: where a stop must let the script tidy up.

Line hooks of the interpreter were tried: `sys.settrace` costs three times as much, and
`sys.monitoring` is missing on 3.11 and no cheaper than this.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import cast

from ringdaq.scripts.shares import Share, shares

ENTRY = ".entry"
"""What `main` is called with."""
TICK, EACH, ENTER, LEAVE = ".tick", ".each", ".enter", ".leave"
SHIELD, UNSHIELD, HANDLE, UNHANDLE = ".shield", ".unshield", ".handle", ".unhandle"
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def weave(tree: ast.Module, instruments: Mapping[str, Collection[str]]) -> ast.Module:
    """Put the meter's calls into `tree`, in place."""
    woven = _Weaver(shares(tree, instruments)).visit(tree)
    return cast(ast.Module, ast.fix_missing_locations(woven))


def call_main(tree: ast.Module) -> None:
    """Put the call of the entry point at the end, in place."""
    main = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main")
    given = ast.keyword(arg=None, value=ast.Name(ENTRY, ast.Load()))
    call = ast.Call(func=ast.Name("main", ast.Load()), args=[], keywords=[given])
    tree.body.append(ast.copy_location(ast.Expr(call), main))
    ast.fix_missing_locations(tree)


class _Weaver(ast.NodeTransformer):
    def __init__(self, shares: Mapping[ast.stmt, Share]) -> None:
        self._shares = shares

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                setattr(node, name, self._ticked(node, block))
        return node

    def _ticked(self, node: ast.AST, block: list[ast.stmt]) -> list[ast.stmt]:
        start = _prologue(block) if isinstance(node, _DOCUMENTED) else 0
        woven = block[:start]
        for statement in block[start:]:
            woven += [_call(TICK, statement, statement.lineno), statement]
        return woven

    def visit(self, node: ast.AST) -> ast.AST:
        woven: ast.AST = super().visit(node)
        share = self._shares.get(node) if isinstance(node, ast.stmt) else None
        if share is None or isinstance(node, ast.For):
            return woven
        return self._shared(cast(ast.stmt, woven), share)

    def _shared(self, node: ast.stmt, share: Share) -> ast.stmt:
        """`try: node finally: .leave()`, entered first."""
        enter = _call(ENTER, node, *share)
        guarded = _always([enter, node], _call(LEAVE, node))
        return ast.copy_location(guarded, node)

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        share = self._shares.get(node)
        if share is not None:
            node.iter = _expression(EACH, node.iter, node.iter, *map(ast.Constant, share))
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST:
        self.generic_visit(node)
        if node.finalbody:
            node.finalbody = _between(SHIELD, node.finalbody, UNSHIELD)
        return node

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        return self.visit_Try(cast(ast.Try, node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        node.body = _between(HANDLE, node.body, UNHANDLE)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if node.name == "__exit__":
            node.body = _between(SHIELD, node.body, UNSHIELD)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        turn = _expression(TICK, node.iter, ast.Constant(node.iter.lineno))
        node.ifs.insert(0, ast.copy_location(ast.UnaryOp(ast.Not(), turn), node.iter))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        turn = _expression(TICK, node.body, ast.Constant(node.body.lineno))
        node.body = ast.copy_location(ast.BoolOp(ast.Or(), [turn, node.body]), node.body)
        return node


def _prologue(block: list[ast.stmt]) -> int:
    """How many statements must stay first: a docstring, imports from the future."""
    count = 0
    for statement in block:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())) if count == 0:
                count = 1
            case ast.ImportFrom(module="__future__"):
                count += 1
            case _:
                break
    return count


def _between(before: str, block: list[ast.stmt], after: str) -> list[ast.stmt]:
    first = block[0]
    return [_call(before, first), _always(block, _call(after, first))]


def _always(block: list[ast.stmt], last: ast.stmt) -> ast.Try:
    guarded = ast.Try(body=block, handlers=[], orelse=[], finalbody=[last])
    return ast.copy_location(guarded, block[0])


def _call(name: str, place: ast.stmt, *values: float) -> ast.stmt:
    call = _expression(name, place, *map(ast.Constant, values))
    return ast.copy_location(ast.Expr(call), place)


def _expression(name: str, place: ast.AST, *arguments: ast.expr) -> ast.Call:
    call = ast.Call(func=ast.Name(name, ast.Load()), args=list(arguments), keywords=[])
    return ast.copy_location(call, cast(ast.expr, place))
