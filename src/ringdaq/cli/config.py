"""`ringdaq config check | schema | show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ringdaq.cli.lazy import LazyGroup
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, plain, say, table

if TYPE_CHECKING:
    from ringdaq.cli.rig_rings import PlannedStream
    from ringdaq.config import Rig

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
@click.option("--rings", is_flag=True, help="Say how much memory its rings want, too.")
@as_json
def check(rig: Path, rings: bool, as_json: bool) -> None:
    """Say whether a rig file and its pipelines are right; nothing is connected.

    The rings are those of simulated instruments: others would have to be connected to know them.
    """
    from ringdaq.cli.rig_rings import free_bytes, mib, place_of, rings_of
    from ringdaq.config import load_rig
    from ringdaq.instruments import check_rig

    loaded = load_rig(rig)
    check_rig(loaded)
    if loaded.pipelines:
        check_pipelines(loaded)
    planned, place = rings_of(loaded), place_of(loaded)
    if as_json:
        data_json(
            {
                "rig": loaded.name,
                "instruments": [i.name for i in loaded.instruments],
                "rings": [stream.ring for stream in planned.streams],
                "rings_bytes": planned.file_bytes,
                "free_bytes": free_bytes(place),
            }
        )
        return
    say(f"the rig file is right: {rig}")
    if not rings:
        return
    if planned.streams:
        data(table(["stream", "ring", "holds", "at_rows_per_sec"], map(_ring, planned.streams)))
        free, limit = mib(free_bytes(place)), loaded.daemon.ring_limit_bytes
        allowed = "" if limit is None else f", {mib(limit)} are allowed"
        data(f"all rings: {mib(planned.file_bytes)}; {free} are free{allowed}: {place}")
    for name in planned.not_counted:
        say(f"not counted, as it must be connected to know its streams: {name}")


def check_pipelines(rig: Rig) -> None:
    """Refuse a rig whose pipelines cannot run, as far as can be said without its streams."""
    from ringdaq.pipeline import check as check_graph

    for name in rig.pipelines:
        check_graph(rig.pipeline(name))


def _ring(stream: PlannedStream) -> tuple[object, ...]:
    from ringdaq.cli.rig_rings import duration, mib

    ring = stream.ring
    return ring.stream, mib(ring.file_bytes), duration(ring.full_secs), ring.rows_per_sec


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
    free = (section.model_extra or {}).items()
    return found + [(f"{prefix}{key}", plain(value), "file") for key, value in free]
