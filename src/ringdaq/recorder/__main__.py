"""`python -m ringdaq.recorder --socket CONTROL_SOCKET`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from ringdaq.errors import DaemonUnreachableError, MissingExtraError, RingdaqError

# The exit codes that the command line documents.
FAILED, UNREACHABLE, UNAVAILABLE = 1, 3, 4
NICENESS = 5


def exit_code(error: RingdaqError) -> int:
    """The documented exit code for an error that ended the recorder."""
    if isinstance(error, DaemonUnreachableError):
        return UNREACHABLE
    return UNAVAILABLE if isinstance(error, MissingExtraError) else FAILED


def main() -> int:
    """Record for the daemon at the socket until it says shutdown or is gone."""
    parser = argparse.ArgumentParser(prog="python -m ringdaq.recorder", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the daemon's control socket")
    parser.add_argument("--verbose", action="store_true", help="log details too")
    asked = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if asked.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        _serve(asked.socket)
    except RingdaqError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error)
    return 0


def _stand_back() -> None:
    """Let instruments' loops go first: what waits here waits in the rings, which hold minutes."""
    os.nice(NICENESS)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _serve(socket: Path) -> None:
    from ringdaq.recorder.hdf5 import h5py_module
    from ringdaq.recorder.service import RecorderService

    h5py_module()
    _stand_back()
    service = RecorderService(socket)
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    signal.signal(signal.SIGINT, lambda *_: service.stop())
    service.run()


if __name__ == "__main__":
    sys.exit(main())
