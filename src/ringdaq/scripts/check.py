"""Refuse a wrong script before anything moves: line, column, and what would be valid."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping

from ringdaq.errors import ScriptRejectedError
from ringdaq.scripts.apart import SHORT_BYTES, look_apart
from ringdaq.scripts.entry import main_of, roles
from ringdaq.scripts.language import (
    HINTS,
    KNOWN_NAMES,
    MAX_SOURCE_BYTES,
    OPEN_DUNDERS,
    RESERVED_COLUMN,
    source_lines,
)
from ringdaq.scripts.languages import Language
from ringdaq.scripts.names import bound_names, module_names
from ringdaq.scripts.suggest import rejected, suggestion

_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, ast.ListComp, ast.SetComp)
_SCOPES_ALL = (*_SCOPES, ast.DictComp)


def check_script(
    source: str | bytes,
    *,
    instruments: Mapping[str, Collection[str]],
    modules: Collection[str],
    withheld: Collection[str] = (),
    language: Language = "python",
    roles: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Raise `ScriptRejectedError` for the first thing that cannot work.

    `instruments` maps each granted instrument to its verbs;
    `withheld` names those of the rig that were not granted.
    `roles` has the verbs of what fills each instrument that `main` asks for; before that is known,
    an instrument of the role's own name is taken for it.
    """
    text = _text(source)
    verbs = {name: sorted(found) for name, found in instruments.items()}
    filled = None if roles is None else {name: sorted(found) for name, found in roles.items()}
    if len(text) > SHORT_BYTES:
        look_apart(
            "check",
            text=text,
            instruments=verbs,
            modules=[*modules],
            withheld=[*withheld],
            language=language,
            roles=filled,
        )
    else:
        check_here(text, verbs, modules, withheld, language, filled)


def instruments_used(
    source: str | bytes, names: Collection[str], language: Language = "python"
) -> list[str]:
    """Which of the instruments `names` the script speaks of, sorted."""
    text = _text(source)
    if len(text) > SHORT_BYTES:
        return list(look_apart("used", text=text, names=sorted(names), language=language))
    return used_here(text, names, language)


def check_here(
    text: str,
    instruments: Mapping[str, Collection[str]],
    modules: Collection[str],
    withheld: Collection[str],
    language: Language,
    roles: Mapping[str, Collection[str]] | None,
) -> None:
    """`check_script` in this process."""
    if language == "rhai":
        from ringdaq.scripts import rhai_check

        return rhai_check.check(text, instruments, withheld, roles)
    tree = parse(text)
    try:
        _Checker(text, tree, instruments, modules, withheld, roles).visit(tree)
    except RecursionError:
        raise _too_deep() from None


def used_here(text: str, names: Collection[str], language: Language) -> list[str]:
    """`instruments_used` in this process."""
    if language == "rhai":
        from ringdaq.scripts import rhai_check

        return rhai_check.used(text, names)
    tree = parse(text)
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return sorted(read & (set(names) - module_names(tree)))


def _text(source: str | bytes) -> str:
    return decode_source(source) if isinstance(source, bytes) else _check_text(source)


def decode_source(content: bytes) -> str:
    """The script's text; refuses what is too long, not UTF-8, or has NUL bytes."""
    if len(content) > MAX_SOURCE_BYTES:
        raise _too_long(len(content))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        found = f"a script must be UTF-8; found the byte 0x{content[error.start]:02x}"
        raise rejected(found, line, column) from None
    return _check_text(text)


def _check_text(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise rejected(
            "a script must be UTF-8; found a lone surrogate", *_place(text, error.start)
        ) from None
    if size > MAX_SOURCE_BYTES:
        raise _too_long(size)
    if "\0" in text:
        raise rejected("a script must be text; found a NUL byte", *_place(text, text.index("\0")))
    return text


def parse(text: str) -> ast.Module:
    """The script's syntax tree, or `ScriptRejectedError` with line and column."""
    try:
        tree = ast.parse(text)
        compile(tree, "script", "exec", dont_inherit=True)  # finds a lost `return` or `break`
        return tree
    except SyntaxError as error:
        raise rejected(
            f"invalid syntax: {error.msg}", error.lineno or 0, error.offset or 0
        ) from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except ValueError as error:
        raise rejected(f"invalid syntax: {error}", 0, 0) from None


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def _too_long(size: int) -> ScriptRejectedError:
    return ScriptRejectedError(
        f"a script may have {MAX_SOURCE_BYTES} bytes; found {size}; give it its data as parameters"
    )


def _too_deep() -> ScriptRejectedError:
    return ScriptRejectedError("the script is nested too deeply; split it into functions")


class _Checker(ast.NodeVisitor):
    def __init__(
        self,
        text: str,
        tree: ast.Module,
        instruments: Mapping[str, Collection[str]],
        modules: Collection[str],
        withheld: Collection[str],
        filled: Mapping[str, Collection[str]] | None,
    ) -> None:
        self._lines = source_lines(text)
        self._instruments = instruments
        self._modules = modules
        self._withheld = withheld
        self._bound = bound_names(tree)
        self._known = KNOWN_NAMES | self._bound | set(instruments)
        self._imported: set[str] = set()
        self._main = main_of(tree)
        wanted = roles(self._main)
        offered = instruments if filled is None else filled
        self._roles = {name: offered[name] for name in wanted if name in offered}
        self._local = [module_names(tree)]

    def visit(self, node: ast.AST) -> None:
        scope = isinstance(node, _SCOPES_ALL)
        if scope:
            bound = bound_names(node)
            self._local.append(bound - set(self._roles) if node is self._main else bound)
        super().visit(node)
        if scope:
            self._local.pop()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load) or node.id in self._known:
            return
        if node.id in self._withheld:
            raise self._at(node, f"the instrument {node.id!r} was not granted to this run")
        raise self._at(node, f"unknown name {node.id!r}" + self._advice(node.id, self._known))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._check_underscores(node)
        if isinstance(node.value, ast.Name) and self._is_instrument(node.value.id):
            self._check_verb(node, node.value.id)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "emit":
            self._check_emit(node)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._check_module(node, alias.name)
            self._imported.add(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            return
        if node.level:
            raise self._at(node, "a script stands alone: it cannot import from files beside it")
        self._check_module(node, node.module or "")
        for alias in node.names:
            if alias.name == "*":
                raise self._at(node, "import the names you need one by one instead of '*'")
            if alias.name.startswith("_"):
                raise self._at(node, f"{alias.name!r} is private to the module {node.module!r}")

    def _refuse_async(self, node: ast.AST) -> None:
        raise self._at(node, "scripts need no async: verbs wait by themselves")

    visit_AsyncFunctionDef = _refuse_async  # noqa: N815
    visit_AsyncFor = _refuse_async  # noqa: N815
    visit_AsyncWith = _refuse_async  # noqa: N815
    visit_Await = _refuse_async  # noqa: N815

    def _is_instrument(self, name: str) -> bool:
        known = name in self._instruments or (name in self._roles and len(self._local) > 1)
        return known and not any(name in names for names in self._local)

    def _check_verb(self, node: ast.Attribute, instrument: str) -> None:
        if not isinstance(node.ctx, ast.Load):
            raise self._at_end(node, f"the instrument {instrument!r} cannot be written to")
        verbs = self._verbs_of(instrument)
        if node.attr in verbs:
            return
        advice = suggestion(node.attr, verbs) or f"; it has: {', '.join(sorted(verbs)) or 'none'}"
        raise self._at_end(node, f"the instrument {instrument!r} has no verb {node.attr!r}{advice}")

    def _verbs_of(self, name: str) -> Collection[str]:
        return self._roles[name] if name in self._roles else self._instruments[name]

    def _check_underscores(self, node: ast.Attribute) -> None:
        if node.attr.startswith("__") and node.attr.endswith("__"):
            if node.attr not in OPEN_DUNDERS:
                raise self._at_end(node, f"scripts cannot use {node.attr!r}, Python's own inside")
        elif (
            node.attr.startswith("_")
            and isinstance(node.value, ast.Name)
            and node.value.id in self._imported
        ):
            raise self._at_end(node, f"{node.attr!r} is private to the module {node.value.id!r}")

    def _check_emit(self, node: ast.Call) -> None:
        if node.args:
            raise self._at(node.args[0], "emit takes values by name: emit(power=meter.read())")
        for keyword in node.keywords:
            if keyword.arg == RESERVED_COLUMN:
                raise self._at(
                    keyword, f"emit writes {RESERVED_COLUMN!r} itself; take another name"
                )

    def _check_module(self, node: ast.AST, name: str) -> None:
        if name not in self._modules:
            allowed = f"; allowed are: {', '.join(sorted(self._modules)) or 'none'}"
            hint = HINTS.get(name.split(".")[0])
            advice = f"; {hint}" if hint else suggestion(name, self._modules) or allowed
            raise self._at(node, f"scripts cannot import {name!r}{advice}")

    def _advice(self, name: str, known: Iterable[str]) -> str:
        return f"; {HINTS[name]}" if name in HINTS else suggestion(name, known)

    def _at(self, node: ast.AST, message: str) -> ScriptRejectedError:
        line: int = getattr(node, "lineno", 0)
        return rejected(message, line, self._column(line, getattr(node, "col_offset", 0)))

    def _at_end(self, node: ast.Attribute, message: str) -> ScriptRejectedError:
        line = node.end_lineno or node.lineno
        end = self._column(line, node.end_col_offset or node.col_offset)
        return rejected(message, line, end - len(node.attr))

    def _column(self, line: int, offset: int) -> int:
        """From an offset in UTF-8 bytes to a column in characters that begins at 1."""
        if not 0 < line <= len(self._lines):
            return offset + 1
        return len(self._lines[line - 1].encode()[:offset].decode(errors="ignore")) + 1
