"""Where the daemon is, and the token it wants."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringdaq.errors import AuthenticationError, DaemonUnreachableError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A daemon's network face."""

    address: str
    token: str = field(repr=False)


def state_directory() -> Path:
    """`$RINGDAQ_STATE`, else `ringdaq` in the XDG state directory."""
    named = os.environ.get("RINGDAQ_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ringdaq"


def find_endpoint(address: str | None = None, token: str | None = None) -> Endpoint:
    """What was given, completed from the files of this machine's daemon."""
    if address is not None and token is not None:
        return Endpoint(address, token)
    card = _read_card(state_directory() / "daemon.json")
    found = card.get("grpc_address") or ""
    if address is None and not found:
        raise DaemonUnreachableError(
            f"the daemon (pid {card.get('pid')}) runs without its gateway; allow it in the rig "
            "file ('gateway = true' under [daemon]) or use its control socket"
        )
    if token is None and address not in (None, found):
        raise AuthenticationError(
            f"the daemon at {address!r} is not this machine's own ({found!r}); give its token"
        )
    return Endpoint(address or found, token or _read_token(Path(card["token_file"])))


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise DaemonUnreachableError(
            "a daemon should be running on this machine, found none; start one with "
            f"'ringdaq daemon --rig RIG', or give an address and a token: {path}"
        ) from None
    return card


def _read_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise AuthenticationError(
            f"the daemon's token should be readable, found: {error.strerror}; "
            f"give the token, or ask the daemon's user: {path}"
        ) from error
