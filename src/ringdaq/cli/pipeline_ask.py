"""`ringdaq pipeline list | start | stop | pause | resume | drain | set | stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ringdaq.cli.exit_codes import FAILED
from ringdaq.cli.local import find_daemon
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table
from ringdaq.cli.pipeline import load_text, preset_option

COLUMNS = ("name", "state", "pid", "restarts", "streams", "error")
values_option = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="STAGE.PARAMETER=VALUE",
    help="Change a parameter; may be given several times.",
)


def parse_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`stage.parameter=value` pairs; a value is JSON where it can be, else text."""
    return dict(_parse_value(pair) for pair in pairs)


def _parse_value(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals or "." not in key:
        raise click.UsageError(f"write STAGE.PARAMETER=VALUE; found {pair!r}")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def ask(verb: str, params: dict[str, Any], timeout: float = 90.0) -> Any:
    """Ask the daemon of this machine."""
    control = find_daemon().connect()
    try:
        return control.call(f"pipeline.{verb}", params, timeout=timeout)
    finally:
        control.close()


def _tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        data_json(found)
    else:
        data(f"{found['name']}: {found['state']}")


@click.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the daemon's pipelines."""
    found = ask("list", {})
    if as_json:
        data_json(found)
    else:
        data(table(COLUMNS, [[one[column] for column in COLUMNS] for one in found]))


@click.command()
@click.argument("pipeline")
@preset_option
@values_option
@as_json
def start(pipeline: str, preset: str | None, values: tuple[str, ...], as_json: bool) -> None:
    """Start PIPELINE, one of the rig's by name or a file, in the daemon."""
    wish: dict[str, Any] = {"parameters": parse_values(values)}
    if Path(pipeline).suffix == ".toml":
        config = load_text(Path(pipeline), None, preset)
        wish |= {"text": config.text, "path": str(config.path), "preset": config.preset}
    elif preset:
        raise click.UsageError("a pipeline of the rig has the preset that the rig file names")
    else:
        wish["name"] = pipeline
    _tell(ask("start", wish), as_json)


def _command(verb: str, help: str) -> click.Command:
    @click.command(verb, help=help)
    @click.argument("pipeline")
    @as_json
    def command(pipeline: str, as_json: bool) -> None:
        _tell(ask(verb, {"name": pipeline}), as_json)

    return command


stop = _command("stop", "Stop PIPELINE; what is on its way is finished.")
pause = _command("pause", "Hold PIPELINE; its queues fill, and do what their policy says.")
resume = _command("resume", "Let PIPELINE go on.")
drain = _command("drain", "Let PIPELINE finish what is on its way, and end.")


@click.command("set")
@click.argument("pipeline")
@click.argument("values", nargs=-1, required=True, metavar="STAGE.PARAMETER=VALUE...")
@as_json
def set_(pipeline: str, values: tuple[str, ...], as_json: bool) -> None:
    """Change parameters of PIPELINE while it runs; refused while it is recorded."""
    found = ask("set", {"name": pipeline, "values": parse_values(values)})
    if as_json:
        data_json(found)
    else:
        data(", ".join(f"{key} = {value!r}" for key, value in found["parameters"].items()))


@click.command()
@click.argument("pipeline")
@as_json
def stats(pipeline: str, as_json: bool) -> None:
    """Show what PIPELINE has counted, and how long its packets take."""
    from ringdaq.cli.pipeline_figures import progress, show

    found = ask("stats", {"name": pipeline})
    if as_json:
        data_json(found)
    elif "branches" not in found:
        say(f"{pipeline} is {found['state']}, and has counted nothing {found['error']}".strip())
        raise click.exceptions.Exit(FAILED)
    else:
        show(found)
        say(f"{found['state']}, {progress(found)}")
