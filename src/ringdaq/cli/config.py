"""`ringdaq config check | schema | show`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ringdaq.cli.lazy import LazyGroup
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, plain, say, table

RIG_FILE = click.Path(dir_okay=False, path_type=Path)

COMMANDS = {
    "check": ("ringdaq.cli.config:check", "Say whether a rig file is right."),
    "schema": ("ringdaq.cli.config:schema", "Print the JSON Schema of rig files."),
    "show": ("ringdaq.cli.config:show", "Print all settings of a rig file, defaults included."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def config() -> None:
    """Check and show rig files."""


@click.command()
@click.argument("rig", type=RIG_FILE)
@as_json
def check(rig: Path, as_json: bool) -> None:
    """Say whether a rig file is right; nothing is connected."""
    from ringdaq.config import load_rig
    from ringdaq.instruments import check_rig

    loaded = load_rig(rig)
    check_rig(loaded)
    if as_json:
        data_json({"rig": loaded.name, "instruments": [i.name for i in loaded.instruments]})
    else:
        say(f"the rig file is right: {rig}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of rig files, for editors."""
    from ringdaq.config import rig_schema

    data(json.dumps(rig_schema(), indent=2))


@click.command()
@click.argument("rig", type=RIG_FILE)
@as_json
def show(rig: Path, as_json: bool) -> None:
    """Print all settings of a rig file, and whether each is written there or a default."""
    from ringdaq.config import load_rig

    loaded = load_rig(rig)
    rows = list(_settings("", loaded))
    if as_json:
        data_json([dict(zip(("key", "value", "origin"), row, strict=True)) for row in rows])
    else:
        data(table(["key", "origin", "value"], [(k, o, json.dumps(v)) for k, v, o in rows]))


def _settings(prefix: str, section: object) -> list[tuple[str, object, str]]:
    """Key, value and origin of all leaves below a section of the rig."""
    from pydantic import BaseModel

    found: list[tuple[str, object, str]] = []
    assert isinstance(section, BaseModel)
    for name, field in type(section).model_fields.items():
        key, value = f"{prefix}{field.alias or name}", getattr(section, name)
        origin = "file" if name in section.model_fields_set else "default"
        if isinstance(value, BaseModel):
            found += _settings(f"{key}.", value)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                found += _settings(f"{key}[{index}].", item)
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for inner, item in value.items():
                found += _settings(f"{key}.{inner}.", item)
        else:
            found.append((key, plain(value), origin))
    return found
