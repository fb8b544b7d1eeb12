"""Instruments of a daemon: over the network where an address is given, else over its socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ringdaq.cli.local import find_daemon
from ringdaq.cli.output import plain
from ringdaq.control import ControlClient

# A long move is longer than any reply should take.
CALL_TIMEOUT_SECS = 3600.0
PANIC_TIMEOUT_SECS = 30.0


class Session(Protocol):
    """What the commands about instruments need of a daemon."""

    def instruments(self) -> list[dict[str, Any]]:
        """The rig's instruments, as the control socket lists them."""

    def call(self, instrument: str, verb: str, *args: Any) -> Any:
        """Make an instrument do something; returns what it returned."""

    def panic(self) -> dict[str, str]:
        """Make every instrument safe: `safe`, or why it may not be."""


class ControlSession:
    """A session over the control socket."""

    def __init__(self, control: ControlClient) -> None:
        self._control = control

    def instruments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control.call("instruments.list")
        return found

    def call(self, instrument: str, verb: str, *args: Any) -> Any:
        params = {"instrument": instrument, "verb": verb, "args": list(args), "kwargs": {}}
        return self._control.call("instruments.call", params, timeout=CALL_TIMEOUT_SECS)["value"]

    def panic(self) -> dict[str, str]:
        done = self._control.call("panic", timeout=PANIC_TIMEOUT_SECS)
        found: dict[str, str] = done["instruments"]
        return found


class NetworkSession:
    """A session over gRPC."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def instruments(self) -> list[dict[str, Any]]:
        return [plain(found) for found in self._client.instruments()]

    def call(self, instrument: str, verb: str, *args: Any) -> Any:
        return self._client.call(instrument, verb, *args)

    def panic(self) -> dict[str, str]:
        return dict(self._client.panic())


@contextmanager
def open_session(address: str | None, token: str | None) -> Iterator[Session]:
    """Connect to the daemon at `address`, or to the local one."""
    if address is None:
        control = find_daemon().connect()
        try:
            yield ControlSession(control)
        finally:
            control.close()
    else:
        from ringdaq.client import connect

        with connect(address, token=token) as client:
            yield NetworkSession(client)
