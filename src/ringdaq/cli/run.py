"""`ringdaq run`: a script on a rig, with a daemon for just that long."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ringdaq.cli.dry_run import dry_run
from ringdaq.cli.follow import Output, exit_code_of, follow, report
from ringdaq.cli.options import as_json, parameters_option, parse_parameters, rig_option
from ringdaq.cli.output import data_json
from ringdaq.cli.private import PrivateDaemon
from ringdaq.cli.progress import open_display
from ringdaq.control import ControlClient


@click.command()
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@rig_option
@parameters_option
@click.option(
    "--dry-run", "dry", is_flag=True, help="Compute what it would take; nothing real is touched."
)
@click.option("--data", "data_directory", metavar="DIR", help="Where the recording goes.")
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    script: Path,
    rig: Path,
    parameters: tuple[str, ...],
    dry: bool,
    data_directory: str | None,
    as_json: bool,
) -> None:
    """Run SCRIPT on a rig, without a daemon.

    A private daemon is started for the length of the run.
    The script's output goes to stdout as it comes, then the file and its rows per stream.
    Ctrl-C stops the run at its next verb, a second Ctrl-C kills it.

    With --dry-run the script runs on the simulated twin of the rig, in virtual time.
    """
    if dry:
        ctx.exit(dry_run(rig, script, parse_parameters(parameters), as_json))
    options = ("--no-gateway", *(("--data", data_directory) if data_directory else ()))
    given = parse_parameters(parameters)
    with PrivateDaemon(rig, options=options) as daemon:
        control = daemon.connect()
        try:
            status = _run(control, script, given, as_json)
        finally:
            control.close()
    if as_json:
        data_json(status)
    else:
        report(status)
    ctx.exit(exit_code_of(status))


def _run(
    control: ControlClient, script: Path, parameters: dict[str, Any], quiet: bool
) -> dict[str, Any]:
    uploaded = control.call(
        "scripts.upload", {"content": script.read_bytes(), "name": script.name, "metadata": {}}
    )
    started = control.call(
        "runs.start",
        {"script": uploaded["script_id"], "parameters": parameters, "instruments": None},
    )
    display = open_display(quiet=quiet)
    try:
        return follow(control, started["run_id"], display, Output(_discard if quiet else _print))
    finally:
        display.close()


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _discard(_text: str) -> None:
    """With --json the output is a field of the one object."""
