"""`python -m ringdaq.pipeline --socket CONTROL_SOCKET`, and the pipeline's name on stdin."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from pathlib import Path

from ringdaq.errors import RingdaqError
from ringdaq.pipeline.endings import exit_code


def main() -> int:
    """Run a pipeline for the daemon at the socket."""
    parser = argparse.ArgumentParser(prog="python -m ringdaq.pipeline", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the daemon's control socket")
    parser.add_argument("--warm", nargs="*", default=[], help="types of stages to import first")
    asked = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    warm_up(asked.warm)
    name = sys.stdin.readline().strip()
    if not name:
        return 0  # whoever kept this process warm is gone
    try:
        return _run(asked.socket, name)
    except RingdaqError as error:
        sys.stderr.write(f"error: pipeline {name}: {error}\n")
        return exit_code(error)


def warm_up(types: list[str]) -> None:
    """Import what these types of stages need; what cannot be is told when a graph is checked."""
    from ringdaq.pipeline import native_build, process  # noqa: F401
    from ringdaq.pipeline.catalogue import find_kind

    for name in types:
        with contextlib.suppress(ImportError, RingdaqError):
            kind = find_kind(name)
            kind.load()
            if kind.extra == "pipeline":
                import scipy.signal  # noqa: F401
            if kind.load().__name__ == "Plugin":
                native_build.warm_up()


def _run(socket: Path, name: str) -> int:
    from ringdaq.pipeline.process import PipelineProcess

    process = PipelineProcess(socket, name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    return process.run()


if __name__ == "__main__":
    sys.exit(main())
