"""The gateway's process: it lives as long as the daemon that started it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringdaq.gateway.auth import read_token
from ringdaq.gateway.history import HistoryDesk
from ringdaq.gateway.link import ANSWER_SECS, DaemonLink
from ringdaq.gateway.rings import RingHub
from ringdaq.gateway.run_ends import DaemonRuns
from ringdaq.gateway.server import GatewayServer
from ringdaq.gateway.websocket_server import WebSocketServer
from ringdaq.recorder.catalogue import Catalogue

log = logging.getLogger(__name__)

BIND_PATIENCE_SECS = 3.0
GRACE_SECS = 0.5


class Gateway:
    """The servers, the links to the daemon behind them, and the rings they read."""

    def __init__(self, *, control_socket: Path, token: str, rings: Path) -> None:
        self.ended = asyncio.Event()
        self._link = DaemonLink(
            control_socket,
            on_connect=self._ready,
            on_disconnect=self._away,
            on_event=self._on_event,
        )
        # Nothing waits behind verbs, which may take their time, and a Stop waits behind nothing.
        self._commands, self._urgent = DaemonLink(control_socket), DaemonLink(control_socket)
        self._data_directory: Path | None = None
        self._history = HistoryDesk(rings, self._open_catalogue)
        hub = RingHub(rings, DaemonRuns(self._link))
        links = (self._link, self._commands, self._urgent)
        self._server = GatewayServer(token, *links, hub, self._history)
        self._websockets = WebSocketServer(token, hub)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def address(self) -> str:
        """Host and port."""
        return self._server.address

    async def start(
        self, port: int, websocket_port: int, *, patience_secs: float = BIND_PATIENCE_SECS
    ) -> None:
        """Serve, then look for the daemon; raises `BusyError` for a port in use."""
        await self._server.start(port, patience_secs)
        await self._websockets.start(websocket_port, patience_secs)
        links = (self._urgent, self._commands, self._link)
        self._tasks = [asyncio.create_task(link.run()) for link in links]
        log.info("serving on %s, WebSockets on %s", self.address, self._websockets.address)

    async def _ready(self, link: DaemonLink) -> None:
        async with asyncio.timeout(ANSWER_SECS):
            for other in (self._urgent, self._commands):
                await other.greeted.wait()
        addresses = {
            "address": self.address,
            "websocket_address": self._websockets.address,
        }
        await link.call("gateway.ready", addresses)
        self._data_directory = Path((await link.call("info"))["data_directory"])
        await self._server.set_healthy(True)

    def _open_catalogue(self) -> Catalogue | None:
        """The recordings, once the daemon has said where they are."""
        return None if self._data_directory is None else Catalogue(self._data_directory)

    async def _away(self) -> None:
        await self._server.set_healthy(False)

    def _on_event(self, event: str, _params: dict[str, Any]) -> None:
        if event == "shutdown":
            self.ended.set()

    async def stop(self) -> None:
        """End open calls, and leave the daemon."""
        # Both at once: a browser that does not read must not keep the ports from the next gateway.
        await asyncio.gather(self._websockets.stop(GRACE_SECS), self._server.stop(GRACE_SECS))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._history.close()


@contextmanager
def parent_watched(ended: asyncio.Event) -> Iterator[None]:
    """Set `ended` when the process that started this one is gone."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(os.getppid())
    except ProcessLookupError:
        ended.set()
        yield
        return
    loop.add_reader(fd, ended.set)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        os.close(fd)


async def serve(
    *, control_socket: Path, port: int, websocket_port: int, token_file: Path, rings: Path
) -> None:
    """Run a gateway until it is told to end, or until its supervisor is gone."""
    gateway = Gateway(control_socket=control_socket, token=read_token(token_file), rings=rings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.ended.set)
    with parent_watched(gateway.ended):
        await gateway.start(port, websocket_port)
        await gateway.ended.wait()
        await gateway.stop()
