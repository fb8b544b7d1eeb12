"""The gateway's connection to the daemon's control socket: many calls at once, found again."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.control import check_length, decode, encode
from ringdaq.errors import (
    BusyError,
    DaemonUnreachableError,
    RingdaqError,
    ServiceError,
    from_wire,
)

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECS = 0.05
MAX_BACKOFF_SECS = 2.0
ANSWER_SECS = 30.0
# Fewer than the daemon lets wait for one peer, so that no call is stuck in the socket.
MAX_CALLS = 48


class DaemonLink:
    """One connection to the daemon, made again whenever it breaks."""

    def __init__(
        self,
        path: Path,
        *,
        on_connect: Callable[[DaemonLink], Awaitable[None]] | None = None,
        on_disconnect: Callable[[], Awaitable[None]] | None = None,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._path = path
        self._on_connect, self._on_disconnect = on_connect, on_disconnect
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        backoff = FIRST_BACKOFF_SECS
        while True:
            try:
                await self._once()
                backoff = FIRST_BACKOFF_SECS
            except (OSError, EOFError, RingdaqError) as error:
                log.warning("no connection to the daemon: %s (%s)", error, self._path)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECS)

    async def _once(self) -> None:
        """Connect, greet, and take in what the daemon sends until it hangs up."""
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        reading = asyncio.create_task(self._read(reader))
        try:
            await self._greet()
            await reading
        finally:
            reading.cancel()
            await self._hang_up()

    async def _greet(self) -> None:
        me = {"role": "gateway", "pid": os.getpid(), "version": __version__}
        await self.call("hello", me)
        if self._on_connect is not None:
            await self._on_connect(self)

    async def _hang_up(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_gone())
        if self._on_disconnect is not None:
            await self._on_disconnect()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                head = await reader.readexactly(4)
                body = await reader.readexactly(check_length(int.from_bytes(head, "little")))
            except asyncio.IncompleteReadError:
                return
            self._deliver(decode(body))

    def _deliver(self, message: dict[str, Any]) -> None:
        if "event" in message:
            if self._on_event is not None:
                self._on_event(message["event"], message.get("params") or {})
            return
        answer = self._waiting.get(message.get("id", 0))
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Ask the daemon; returns its result or raises the error it raised."""
        if self._writer is None:
            raise _gone()
        if len(self._waiting) >= MAX_CALLS:
            raise BusyError(f"{MAX_CALLS} calls are under way already; try again")
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        seconds = ANSWER_SECS if timeout is None else timeout
        try:
            request = {"id": number, "method": method, "params": dict(params or {})}
            async with asyncio.timeout(seconds):
                await self._send(request)
                reply = await answer
        except TimeoutError:
            raise ServiceError(
                f"the daemon did not answer {method!r} within {seconds:g} s"
            ) from None
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply.get("result")

    async def _send(self, request: Mapping[str, Any]) -> None:
        data = encode(request)
        if self._writer is None:
            raise _gone()
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise _gone() from None


def _gone() -> DaemonUnreachableError:
    return DaemonUnreachableError(
        "the gateway is up, and the daemon behind it does not answer; try again in a moment"
    )
