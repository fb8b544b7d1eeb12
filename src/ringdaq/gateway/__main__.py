"""`python -m ringdaq.gateway --socket S --port N --token-file F --rings DIR`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from ringdaq.errors import AuthenticationError, RingdaqError
from ringdaq.held import arguments_of
from ringdaq.wire import require_grpc, require_websockets

# The exit codes that the command line documents.
UNAVAILABLE, REFUSED = 4, 5


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ringdaq.gateway", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="the daemon's control socket")
    parser.add_argument("--port", type=_port, default=50051, help="0 for any free port")
    parser.add_argument(
        "--websocket-port", type=_port, default=0, help="for browsers; 0 for any free port"
    )
    parser.add_argument("--token-file", type=Path, required=True, help="what callers must know")
    parser.add_argument("--rings", type=Path, required=True, help="the directory of the rings")
    return parser


def main() -> int:
    """Serve until told to end."""
    try:
        arguments = arguments_of(_import)
        if arguments is not None:
            _serve(_parser().parse_args(arguments))
    except RingdaqError as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED if isinstance(error, AuthenticationError) else UNAVAILABLE
    return 0


def _import() -> None:
    """What takes time and must be there; raises `MissingExtraError`."""
    require_grpc()
    require_websockets()
    from ringdaq.gateway import main  # noqa: F401


def _serve(asked: argparse.Namespace) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    _import()
    from ringdaq.gateway.main import serve

    asyncio.run(
        serve(
            control_socket=asked.socket,
            port=asked.port,
            websocket_port=asked.websocket_port,
            token_file=asked.token_file,
            rings=asked.rings,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
