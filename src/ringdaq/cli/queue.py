"""`ringdaq queue`: runs that wait for their turn on the daemon of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ringdaq.cli.dry_run import DRY_RUN_SECS, expectation, say_violations, spoken_secs
from ringdaq.cli.local import find_daemon
from ringdaq.cli.options import as_json, parameters_option, parse_parameters
from ringdaq.cli.output import data, data_json, say, table


@click.group()
def queue() -> None:
    """Queue runs on the daemon of this machine."""


def ask(method: str, **params: Any) -> Any:
    """Have the daemon do something with its queue."""
    control = find_daemon().connect()
    try:
        return control.call(method, params, timeout=DRY_RUN_SECS)
    finally:
        control.close()


def show(found: dict[str, Any], as_json: bool) -> None:
    """Print the queue."""
    if as_json:
        data_json(found)
        return
    data(found["state"] + (f": {found['reason']}" if found["reason"] else ""))
    keys = ["entry_id", "script_name", "state", "repeat", "on_failure", "user", "run_id"]
    rows = [[*(_shown(entry[key]) for key in keys), _takes(entry)] for entry in found["entries"]]
    data(table([*keys, "takes"], rows))


def _shown(value: Any) -> Any:
    return "" if value is None else value


def _takes(entry: dict[str, Any]) -> str:
    """What one run takes, by its dry run."""
    expected = entry.get("expected")
    return spoken_secs(expected["duration_secs"]) if expected else ""


@queue.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the entries, the next one first."""
    show(ask("queue.list"), as_json)


@queue.command()
@click.argument("script")
@parameters_option
@click.option("--instrument", "instruments", multiple=True, help="Grant only these instruments.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--on-failure", type=click.Choice(["stop", "continue"]), default="stop", show_default=True
)
@click.option(
    "--dry-run/--no-dry-run",
    default=True,
    show_default=True,
    help="Run it on the rig's twin first, and refuse it where that does not complete.",
)
@as_json
def add(
    script: str,
    parameters: tuple[str, ...],
    instruments: tuple[str, ...],
    repeat: int,
    on_failure: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a run of SCRIPT at the end: a file, which is uploaded, or an uploaded script."""
    path = Path(script)
    if path.is_file():
        content = {"content": path.read_bytes(), "name": path.name}
        script = ask("scripts.upload", **content)["script_id"]
    entry = ask(
        "queue.add",
        script=script,
        parameters=parse_parameters(parameters),
        instruments=list(instruments) or None,
        repeat=repeat,
        on_failure=on_failure,
        dry_run=dry_run,
    )
    if as_json:
        data_json(entry)
        return
    data(entry["entry_id"])
    if entry["expected"]:
        say(expectation(entry["expected"]))
        say_violations(entry["expected"])


@queue.command()
@click.argument("entry")
@click.argument("place", type=click.IntRange(min=0))
@as_json
def move(entry: str, place: int, as_json: bool) -> None:
    """Put ENTRY at PLACE; 0 is the next to run."""
    show(ask("queue.move", entry_id=entry, to=place), as_json)


@queue.command()
@click.argument("entry")
@as_json
def remove(entry: str, as_json: bool) -> None:
    """Take ENTRY out."""
    show(ask("queue.remove", entry_id=entry), as_json)


@queue.command()
@click.argument("entry")
@click.argument("times", type=click.IntRange(min=1))
@as_json
def repeat(entry: str, times: int, as_json: bool) -> None:
    """Run ENTRY so many times in all from now on."""
    show(ask("queue.repeat", entry_id=entry, times=times), as_json)


@queue.command()
@click.argument("entry")
@parameters_option
@click.option("--on-failure", type=click.Choice(["stop", "continue"]))
@click.option("--dry-run/--no-dry-run", default=True, show_default=True)
@as_json
def edit(
    entry: str,
    parameters: tuple[str, ...],
    on_failure: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give ENTRY other parameters, all of them, or another way to fail."""
    changes: dict[str, Any] = {}
    if parameters:
        changes["parameters"] = parse_parameters(parameters)
    if on_failure is not None:
        changes["on_failure"] = on_failure
    show(ask("queue.edit", entry_id=entry, dry_run=dry_run, **changes), as_json)


@queue.command()
@as_json
def pause(as_json: bool) -> None:
    """Start no more runs; the one that goes on goes on."""
    show(ask("queue.pause"), as_json)


@queue.command()
@as_json
def resume(as_json: bool) -> None:
    """Go on with the first entry."""
    show(ask("queue.resume"), as_json)
