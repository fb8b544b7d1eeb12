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
MAX_CALLS_WITH_PANICS = 60


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
        # Those that the daemon works on; a caller who gives up cancels his, and it stays here.
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.greeted = asyncio.Event()
        """Set from the daemon's answer to the greeting until it hangs up."""

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        backoff = FIRST_BACKOFF_SECS
        while True:
            try:
                await self._once()
                backoff = FIRST_BACKOFF_SECS
            except (OSError, EOFError, RingdaqError) as error:
                log.warning("no connection to the daemon: %s (%s)", error, self._path)
            except Exception:
                log.exception("the connection to the daemon failed inside the gateway")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECS)

    async def _once(self) -> None:
        """Connect, greet, and take in what the daemon sends until it hangs up."""
        reader, self._writer = await asyncio.open_unix_connection(self._path)
        reading = asyncio.create_task(self._read(reader))
        reading.add_done_callback(lambda _: self._let_down())
        try:
            await self._greet()
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._hang_up()

    async def _greet(self) -> None:
        me = {"role": "gateway", "pid": os.getpid(), "version": __version__}
        await self.call("hello", me)
        self.greeted.set()
        if self._on_connect is not None:
            await self._on_connect(self)

    async def _hang_up(self) -> None:
        self.greeted.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._let_down()
        if self._on_disconnect is not None:
            await self._on_disconnect()

    def _let_down(self) -> None:
        """Tell whoever waits that no answer will come."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(_gone())

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
        answer = self._waiting.pop(message.get("id", 0), None)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        room: int = MAX_CALLS,
    ) -> Any:
        """Ask the daemon; returns its result or raises the error it raised.

        A call that is cancelled or timed out is taken back; a command that has begun goes on.
        Raises `BusyError` where as many as there is `room` for are under way.
        """
        number = next(self._ids)
        data = encode({"id": number, "method": method, "params": dict(params or {})})
        if self._writer is None:
            raise _gone()
        if len(self._waiting) >= room:
            raise BusyError(f"{len(self._waiting)} calls are under way already; try again")
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        seconds = ANSWER_SECS if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                await self._send(self._writer, data)
                reply = await answer
        except TimeoutError:
            raise ServiceError(
                f"the daemon did not answer {method!r} within {seconds:g} s"
            ) from None
        finally:
            if number in self._waiting:
                self._take_back(number)
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply.get("result")

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        try:
            writer.write(data)
            await writer.drain()
        except OSError:
            raise _gone() from None

    def _take_back(self, number: int) -> None:
        """Nobody waits for it any more; it counts until the daemon has answered it all the same."""
        self._waiting[number].cancel()
        if self._writer is not None:
            self._writer.write(encode({"withdraw": number}))


def _gone() -> DaemonUnreachableError:
    return DaemonUnreachableError(
        "the gateway is up, and the daemon behind it does not answer; try again in a moment"
    )
