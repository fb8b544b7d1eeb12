"""A wish such as `sample = 'X' and temperature > 300` as a condition in SQL; nothing is evaluated.

Python's own parser reads it, and only what stands in the tables below is let through.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

from ringdaq.errors import BadRequestError
from ringdaq.moments import parse_moment

MAX_CHARS = 2000
# Below what SQLite takes in one expression, however it was built.
MAX_DEPTH = 25
MAX_WORDS = 600
INT64 = range(-(2**63), 2**63)
COLUMNS = {
    "id": "r.recording_id",
    "run": "r.run_id",
    "name": "r.title",
    "title": "r.title",
    "script": "r.script",
    "script_hash": "r.script_hash",
    "user": "r.user",
    "state": "r.state",
    "file": "r.file",
    "note": "r.note",
    "start": "r.start_nanos",
    "end": "r.end_nanos",
    "duration": "(r.end_nanos - r.start_nanos) / 1e9",
    "rows": "r.rows",
    "lost_rows": "r.lost_rows",
    "size": "r.size_bytes",
    "sealed": "r.sealed",
    "simulated": "r.simulated",
}
TIMES = ("start", "end")
NUMBERS = ("duration", "rows", "lost_rows", "size", "sealed", "simulated")
MEMBERS = {
    "tag": "SELECT 1 FROM facts f WHERE f.recording_id = r.recording_id AND f.source = 'tag' "
    "AND f.text",
    "stream": "SELECT 1 FROM streams s WHERE s.recording_id = r.recording_id AND s.stream",
    "instrument": "SELECT 1 FROM streams s WHERE s.recording_id = r.recording_id AND s.instrument",
}
SOURCES = ("parameter", "setting", "metadata", "key")
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[<>=!]=|=""")
HELP = (
    "write for example: sample = 'X' and temperature > 300, 'scan' in name, "
    "start > '2026-03-01', tag = 'good' or not simulated"
)

Condition = tuple[str, list[Any]]


def to_sql(wish: str) -> Condition:
    """The condition on a recording `r`, and its values; a `BadRequestError` says what is wrong."""
    if not wish.strip():
        return "1", []
    if len(wish) > MAX_CHARS:
        raise BadRequestError(f"a wish may have {MAX_CHARS} characters; found {len(wish)}")
    text, places = _doubled(wish)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", None) or 1
        at += len(text) - len(text.lstrip())
        raise _wrong(wish, places[min(at - 1, len(places) - 1)], "this cannot be read") from None
    _check_size(tree)
    shift = len(text) - len(text.lstrip())
    return _Reader(wish, lambda node: places[min(node.col_offset + shift, len(places) - 1)]).read(
        tree.body
    )


def _check_size(tree: ast.AST) -> None:
    depth, level, words = 0, [tree], 0
    while level:
        depth += 1
        words += sum(isinstance(node, ast.Name | ast.Constant) for node in level)
        level = [inner for node in level for inner in ast.iter_child_nodes(node)]
    if depth > MAX_DEPTH or words > MAX_WORDS:
        raise BadRequestError(
            f"a wish may have {MAX_WORDS} names and values, nested {MAX_DEPTH} deep; found "
            f"{words}, nested {depth} deep; ask for less at once, or write it with fewer brackets"
        )


def _doubled(wish: str) -> tuple[str, list[int]]:
    """Write `=` as Python does, `==`; returns where each character came from too."""
    parts: list[str] = []
    places: list[int] = []
    last = 0
    for found in _TOKEN.finditer(wish):
        written = "==" if found[0] == "=" else found[0]
        parts += [wish[last : found.start()], written]
        places += range(last, found.start())
        places += [min(found.start() + n, found.end() - 1) for n in range(len(written))]
        last = found.end()
    parts.append(wish[last:])
    places += [*range(last, len(wish)), len(wish)]
    return "".join(parts), places


def _wrong(wish: str, at: int, what: str) -> BadRequestError:
    return BadRequestError(f"{what} at character {at + 1} of {wish!r}; {HELP}")


class _Reader:
    """Walks the tree; refuses whatever it does not know."""

    def __init__(self, wish: str, place: Callable[[Any], int]) -> None:
        self._wish, self._place = wish, place

    def read(self, node: ast.expr) -> Condition:
        if isinstance(node, ast.BoolOp):
            word = " AND " if isinstance(node.op, ast.And) else " OR "
            return self._joined(word, [self.read(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            sql, values = self.read(node.operand)
            return f"NOT ({sql})", values
        if isinstance(node, ast.Compare):
            return self._chain(node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._has(self._name(node))
        raise self._refused(node, "a comparison, or the name of a key, is needed")

    def _joined(self, word: str, parts: list[Condition]) -> Condition:
        sql = word.join(f"({part})" for part, _ in parts)
        return sql, [value for _, values in parts for value in values]

    def _chain(self, node: ast.Compare) -> Condition:
        ends = [node.left, *node.comparators]
        pairs = zip(ends, node.ops, ends[1:], strict=False)
        return self._joined(" AND ", [self._compared(*pair) for pair in pairs])

    def _compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Condition:
        if isinstance(operator, ast.In | ast.NotIn):
            sql, values = self._contained(left, right)
            return (f"NOT ({sql})" if isinstance(operator, ast.NotIn) else sql), values
        sign = _OPERATORS.get(type(operator))
        if sign is None:
            raise self._refused(left, "only = != < <= > >= and in compare")
        if isinstance(left, ast.Name | ast.Attribute):
            return self._test(left, sign, self._literal(right))
        if isinstance(right, ast.Name | ast.Attribute):
            return self._test(right, _MIRRORED[sign], self._literal(left))
        raise self._refused(left, "one side must be the name of a key")

    def _contained(self, left: ast.expr, right: ast.expr) -> Condition:
        if isinstance(right, ast.Tuple | ast.List) and isinstance(left, ast.Name | ast.Attribute):
            tests = [self._test(left, "=", self._literal(one)) for one in right.elts]
            return self._joined(" OR ", tests) if tests else ("0", [])
        if isinstance(right, ast.Name | ast.Attribute):
            part = self._literal(left)
            if isinstance(part, str):
                return self._on(right, "instr({}, ?) > 0", part)
        raise self._refused(left, "write key in ('a', 'b'), or 'part' in key")

    def _test(self, name: ast.expr, sign: str, value: Any) -> Condition:
        return self._on(name, f"{{}} {sign} ?", value)

    def _on(self, node: ast.expr, test: str, value: Any) -> Condition:
        """A test of the value that a name stands for."""
        name = self._name(node)
        if name in TIMES:
            value = self._moment(node, name, value)
        self._check_storable(node, value)
        if name in COLUMNS:
            self._check_type(node, name, value)
            return test.format(COLUMNS[name]), [value]
        if name in MEMBERS:
            inner, column = MEMBERS[name].rsplit(" ", 1)
            return f"EXISTS ({inner} {test.format(column)})", [value]
        where, key = self._fact(name)
        kind = "f.text" if isinstance(value, str) else "f.number"
        return f"EXISTS ({where} AND {test.format(kind)})", [*key, value]

    def _moment(self, node: ast.expr, name: str, value: Any) -> int:
        try:
            return parse_moment(value)
        except (BadRequestError, OverflowError, ValueError) as error:
            raise self._refused(node, f"{name} is a time: {error}") from None

    def _check_storable(self, node: ast.expr, value: Any) -> None:
        if isinstance(value, int) and value not in INT64:
            raise self._refused(node, "a whole number, or a time in ns, must fit into 64 bits")
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self._refused(node, "a text must be of whole characters; one is half")

    def _check_type(self, node: ast.expr, name: str, value: Any) -> None:
        number = name in (*NUMBERS, *TIMES)
        if number == isinstance(value, str):
            raise self._refused(node, f"{name} is a {'number' if number else 'text'}")

    def _has(self, name: str) -> Condition:
        if name in ("sealed", "simulated"):
            return COLUMNS[name], []
        if name in COLUMNS:
            return f"{COLUMNS[name]} NOT IN ('', 0)", []
        if name in MEMBERS:
            return f"EXISTS ({MEMBERS[name]} != '')", []
        where, key = self._fact(name)
        return f"EXISTS ({where})", [*key]

    def _fact(self, name: str) -> tuple[str, list[str]]:
        source, dot, key = name.partition(".")
        where = "SELECT 1 FROM facts f WHERE f.recording_id = r.recording_id AND f.key = ?"
        if dot and source in SOURCES:
            return f"{where} AND f.source = ?", [key, source]
        return f"{where} AND f.source != 'tag'", [name]

    def _name(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        raise self._refused(node, "the name of a key is needed")

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._literal(node.operand)
            if isinstance(value, int | float):
                return -value
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
            return node.value
        raise self._refused(node, "a text in quotes, a number, True or False is needed")

    def _refused(self, node: ast.expr, what: str) -> BadRequestError:
        return _wrong(self._wish, self._place(node), what)
