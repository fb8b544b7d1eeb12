"""`ringdaq daemon`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringdaq.cli.local import state_directory
from ringdaq.cli.options import rig_option

if TYPE_CHECKING:
    from ringdaq.config import Rig


@click.command()
@rig_option
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="State directory.  [default: $RINGDAQ_STATE, else ~/.local/state/ringdaq]",
)
@click.option(
    "--data",
    "data_directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where recordings go, instead of what the rig file says.",
)
@click.option("--no-gateway", is_flag=True, help="Serve this machine only, not the network.")
@click.option("--verbose", is_flag=True, help="Log details too.")
def daemon(
    rig: Path, state: Path | None, data_directory: Path | None, no_gateway: bool, verbose: bool
) -> None:
    """Serve a rig until stopped.

    Says "ready" on stderr when it serves; SIGTERM or Ctrl-C ends it with instruments at rest.
    """
    from ringdaq.config import load_rig
    from ringdaq.daemon import run_daemon

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    changes: dict[str, Any] = {"gateway": False} if no_gateway else {}
    if data_directory is not None:
        changes["data_directory"] = data_directory.absolute()
    run_daemon(_changed(load_rig(rig), changes), state or state_directory())


def _changed(rig: Rig, changes: dict[str, Any]) -> Rig:
    """The rig with settings that the command line overrules; its text stays as it was written."""
    return rig.model_copy(update={"daemon": rig.daemon.model_copy(update=changes)})
