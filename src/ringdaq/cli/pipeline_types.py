"""`ringdaq pipeline types`: what a stage can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table

if TYPE_CHECKING:
    from ringdaq.pipeline.catalogue import StageKind


@click.command()
@click.argument("name", metavar="[TYPE]", required=False)
@as_json
def types(name: str | None, as_json: bool) -> None:
    """List the types of stages, those of installed plugins too; or the keys of one TYPE."""
    from ringdaq.pipeline.catalogue import find_kind

    rows = list(_types()) if name is None else list(_keys(find_kind(name)))
    if as_json:
        data_json(rows)
        return
    if name is not None:
        say(f"{name}: {find_kind(name).summary}")
    if rows:
        data(table(list(rows[0]), [list(row.values()) for row in rows]))


def _types() -> Iterator[dict[str, Any]]:
    from ringdaq.pipeline.catalogue import KINDS, find_kind
    from ringdaq.pipeline.plugins import installed

    for name in [*KINDS, *installed()]:
        kind = find_kind(name)
        extra = f"ringdaq[{kind.extra}]" if kind.extra else ""
        yield {"type": name, "is a": kind.role, "what": kind.summary, "needs": extra}


def _keys(kind: StageKind) -> Iterator[dict[str, Any]]:
    from ringdaq.cli.pipeline_reference import keys_of

    if kind.plugin:
        yield from _parameters(kind.plugin)
        return
    for key, default, meaning in keys_of(kind.options()):
        yield {"key": key, "default": default.strip("`"), "meaning": meaning.replace("`", "")}


def _parameters(plugin: str) -> Iterator[dict[str, Any]]:
    """The keys of an installed plugin, which are its own parameters."""
    import inspect

    from ringdaq.pipeline.native import NativeStage
    from ringdaq.pipeline.plugins import load_installed

    found = load_installed(plugin)
    signature = found.signature if isinstance(found, NativeStage) else inspect.signature(found)
    for name, parameter in signature.parameters.items():
        needed = parameter.default is parameter.empty
        default = "must be written" if needed else repr(parameter.default)
        yield {"key": name, "default": default, "meaning": ""}
