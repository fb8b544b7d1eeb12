"""`python -m ringdaq.daemon --rig RIG [--state DIR]`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ringdaq.daemon.begin import run_daemon
from ringdaq.daemon.state import default_state_directory
from ringdaq.errors import (
    BusyError,
    ConfigError,
    DaemonRunningError,
    MissingExtraError,
    RingdaqError,
    RingSpaceError,
)

# The exit codes that the command line documents.
REFUSED_INPUT, UNAVAILABLE, REFUSED = 2, 4, 5


def exit_code(error: RingdaqError) -> int:
    """The documented exit code for an error that ended the daemon."""
    if isinstance(error, ConfigError):
        return REFUSED_INPUT
    if isinstance(error, (RingSpaceError, MissingExtraError)):
        return UNAVAILABLE
    return REFUSED if isinstance(error, (BusyError, DaemonRunningError)) else UNAVAILABLE


def main() -> int:
    """Run a daemon in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m ringdaq.daemon", description=__doc__)
    parser.add_argument("--rig", type=Path, required=True, help="the rig file")
    parser.add_argument("--state", type=Path, default=None, help="the state directory")
    parser.add_argument("--verbose", action="store_true", help="log details too")
    asked = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if asked.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        run_daemon(asked.rig, asked.state or default_state_directory())
    except RingdaqError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
