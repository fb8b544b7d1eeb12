"""`ringdaq panic`."""

from __future__ import annotations

import click

from ringdaq.cli.exit_codes import FAILED
from ringdaq.cli.options import as_json, remote_options
from ringdaq.cli.output import data, data_json, table
from ringdaq.cli.session import open_session


@click.command()
@remote_options
@as_json
@click.pass_context
def panic(ctx: click.Context, address: str | None, token: str | None, as_json: bool) -> None:
    """End all runs and bring every instrument to its safe state, at once.

    Whoever holds an instrument loses it, and the queue is paused.
    Exit code 0 only if every instrument says that it is safe.
    No substitute for a switch that cuts the power.
    """
    with open_session(address, token) as session:
        found = session.panic()
    data_json(found) if as_json else data(table(["instrument", "state"], found.items()))
    if any(state != "safe" for state in found.values()):
        ctx.exit(FAILED)
