"""`python -m ringdaq.recorder --socket CONTROL_SOCKET`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from ringdaq.errors import DaemonUnreachableError, MissingExtraError, RingdaqError
from ringdaq.held import arguments_of

# The exit codes that the command line documents.
FAILED, UNREACHABLE, UNAVAILABLE = 1, 3, 4


def exit_code(error: RingdaqError) -> int:
    """The documented exit code for an error that ended the recorder."""
    if isinstance(error, DaemonUnreachableError):
        return UNREACHABLE
    return UNAVAILABLE if isinstance(error, MissingExtraError) else FAILED


def main() -> int:
    """Record for the daemon at the socket until it says shutdown or is gone."""
    try:
        arguments = arguments_of(_import)
        if arguments is not None:
            _record(arguments)
    except RingdaqError as error:
        sys.stderr.write(f"error: {error}\n")
        return exit_code(error)
    return 0


def _record(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m ringdaq.recorder", description=main.__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the daemon's control socket")
    parser.add_argument("--verbose", action="store_true", help="log details too")
    asked = parser.parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if asked.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    _serve(asked.socket)


def _import() -> None:
    """What takes time and must be there; raises `MissingExtraError`."""
    from ringdaq.recorder import service  # noqa: F401
    from ringdaq.recorder.hdf5 import h5py_module

    h5py_module()


def _serve(socket: Path) -> None:
    _import()
    from ringdaq.recorder.service import RecorderService
    from ringdaq.recorder.stand_back import stand_back

    stand_back()
    service = RecorderService(socket)
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    signal.signal(signal.SIGINT, lambda *_: service.stop())
    service.run()


if __name__ == "__main__":
    sys.exit(main())
