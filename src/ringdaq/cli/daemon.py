"""`ringdaq daemon`."""

from __future__ import annotations

import logging
import shutil
import sys
from functools import partial
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
@click.option(
    "--private",
    is_flag=True,
    hidden=True,
    help="Keep the rings in a directory of their own; remove them and the state in the end.",
)
@click.option("--verbose", is_flag=True, help="Log details too.")
def daemon(
    rig: Path,
    state: Path | None,
    data_directory: Path | None,
    no_gateway: bool,
    private: bool,
    verbose: bool,
) -> None:
    """Serve a rig until stopped.

    Says "ready" on stderr when it serves; SIGTERM or Ctrl-C ends it with instruments at rest.
    """
    from ringdaq.daemon import run_daemon

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    state = state or state_directory()
    changes: dict[str, Any] = {"gateway": False} if no_gateway else {}
    if data_directory is not None:
        changes["data_directory"] = data_directory.absolute()
    run = partial(run_daemon, rig, state, gateway=not no_gateway)
    if not private:
        run(change=lambda loaded: _changed(loaded, changes))
        return
    rings: list[Path] = []

    def change(loaded: Rig) -> Rig:
        rings.append(_base_of_rings(loaded) / state.name)
        return _changed(loaded, {**changes, "ring_directory": rings[0]})

    try:
        run(change=change)
    finally:
        for path in rings:
            shutil.rmtree(path, ignore_errors=True)
    # Also by whoever started this, unless that was killed.
    shutil.rmtree(state, ignore_errors=True)


def _changed(rig: Rig, changes: dict[str, Any]) -> Rig:
    """The rig with settings that the command line overrules; its text stays as it was written."""
    return rig.model_copy(update={"daemon": rig.daemon.model_copy(update=changes)})


def _base_of_rings(rig: Rig) -> Path:
    named = rig.daemon.ring_directory
    return Path("/dev/shm") if named is None else rig.resolve(named)
