"""`ringdaq doctor`: a check per thing that would stop this machine, or slow it."""

from __future__ import annotations

from pathlib import Path

import click

from ringdaq.cli.checks import Verdict, all_checks
from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table


@click.command()
@click.option(
    "--rings",
    type=click.Path(path_type=Path),
    default=Path("/dev/shm"),
    show_default=True,
    help="Where the rings will lie.",
)
@as_json
@click.pass_context
def doctor(ctx: click.Context, rings: Path, as_json: bool) -> None:
    """Look for what would stop this machine from running well.

    Exit code 1 when something would stop it; warnings do not count.
    """
    found = all_checks(rings)
    stopped = [check for check in found if check.verdict is Verdict.STOP]
    if as_json:
        data_json({"ok": not stopped, "checks": found})
    else:
        data(table(["check", "verdict", "found"], [(c.name, c.verdict, c.found) for c in found]))
        for check in found:
            if check.advice:
                say(f"{check.verdict}: {check.name}: {check.advice}")
    ctx.exit(FAILED if stopped else OK)
