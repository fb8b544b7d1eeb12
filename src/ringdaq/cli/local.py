"""The daemon of this machine: where it is, and talking to it without the network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ringdaq.control import ControlClient
from ringdaq.errors import DaemonUnreachableError


@dataclass(frozen=True)
class LocalDaemon:
    """What a running daemon tells local programs about itself."""

    pid: int
    version: str
    control_socket: Path
    ring_directory: Path
    data_directory: Path
    grpc_address: str | None
    """`None` while there is no gateway."""
    websocket_address: str | None
    """Likewise."""
    token_file: Path

    def connect(self) -> ControlClient:
        """Open its control socket as a user's shell."""
        client = ControlClient.connect(self.control_socket)
        try:
            client.call("hello", {"role": "cli", "pid": os.getpid()})
        except BaseException:
            client.close()
            raise
        return client


def state_directory() -> Path:
    """`$RINGDAQ_STATE`, else `ringdaq` in the XDG state directory."""
    named = os.environ.get("RINGDAQ_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ringdaq"


def find_daemon(state: Path | None = None) -> LocalDaemon:
    """The daemon that serves a state directory, as its `daemon.json` says."""
    card = (state or state_directory()) / "daemon.json"
    try:
        fields = json.loads(card.read_text())
    except FileNotFoundError:
        raise DaemonUnreachableError(
            "a daemon should be running on this machine, found none; "
            f"start one with 'ringdaq daemon --rig RIG', or name its --state directory: {card}"
        ) from None
    return LocalDaemon(
        pid=fields["pid"],
        version=fields["version"],
        control_socket=Path(fields["control_socket"]),
        ring_directory=Path(fields["ring_directory"]),
        data_directory=Path(fields["data_directory"]),
        grpc_address=fields.get("grpc_address") or None,
        websocket_address=fields.get("websocket_address") or None,
        token_file=Path(fields["token_file"]),
    )
