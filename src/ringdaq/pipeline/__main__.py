"""`python -m ringdaq.pipeline --socket CONTROL_SOCKET --name PIPELINE`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from ringdaq.errors import ConfigError, DaemonUnreachableError, MissingExtraError, RingdaqError

FAILED, USAGE, UNREACHABLE, UNAVAILABLE = 1, 2, 3, 4


def exit_code(error: RingdaqError) -> int:
    """Whether another try makes sense: not for a wrong text, nor for a package that is missing."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, DaemonUnreachableError):
        return UNREACHABLE
    return UNAVAILABLE if isinstance(error, MissingExtraError) else FAILED


def main() -> int:
    """Run a pipeline for the daemon at the socket."""
    parser = argparse.ArgumentParser(prog="python -m ringdaq.pipeline", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the daemon's control socket")
    parser.add_argument("--name", required=True, help="which pipeline")
    asked = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        return _run(asked.socket, asked.name)
    except RingdaqError as error:
        sys.stderr.write(f"error: pipeline {asked.name}: {error}\n")
        return exit_code(error)


def _run(socket: Path, name: str) -> int:
    from ringdaq.pipeline.process import PipelineProcess

    process = PipelineProcess(socket, name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    return process.run()


if __name__ == "__main__":
    sys.exit(main())
