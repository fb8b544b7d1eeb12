"""Streams over WebSockets, for browsers: a connection a stream, on loopback only."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ringdaq.errors import BadRequestError, BusyError, RingdaqError, UnknownStreamError
from ringdaq.gateway.rings import RingHub
from ringdaq.gateway.websocket_door import Door, choose_protocol
from ringdaq.gateway.websocket_stream import StreamSession, checked_rate

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PATH = "/v1/streams/"
MAX_MESSAGE_BYTES = 64 * 1024
"""Of a client's; the server's own may be as long as a record."""
BIND_RETRY_SECS = 0.1
# Close codes of the range that is for applications, named after HTTP's.
BAD_REQUEST, NOT_FOUND, BUSY, FAILED = 4400, 4404, 4429, 4500


class WebSocketServer:
    """The second network face of one daemon."""

    def __init__(self, token: str, hub: RingHub) -> None:
        self.address = ""
        self._door = Door(token)
        self._hub = hub
        self._server: Server | None = None
        self._attended: set[ServerConnection] = set()

    async def start(self, port: int, patience_secs: float) -> None:
        """Serve on a port of the loopback interface, 0 for any free one.

        A busy port is tried again until `patience_secs` are over; raises `BusyError` then.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience_secs
        while True:
            try:
                self._server = await self._serve(port)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or loop.time() > give_up:
                    raise BusyError(
                        f"port {port} of {HOST} should be free for WebSockets and is not "
                        f"({error.strerror}); end the program that has it, or set websocket_port "
                        f"under [daemon] in the rig file, 0 for any free port"
                    ) from error
            await asyncio.sleep(BIND_RETRY_SECS)
        bound = next(iter(self._server.sockets)).getsockname()[1]
        self.address = f"{HOST}:{bound}"

    async def _serve(self, port: int) -> Server:
        return await serve(
            self._attend,
            HOST,
            port,
            process_request=self._door,
            select_subprotocol=choose_protocol,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
        )

    async def _attend(self, connection: ServerConnection) -> None:
        """One client, from its first message to its last."""
        self._attended.add(connection)
        try:
            await self._session(connection).run()
        except ConnectionClosed:
            pass
        except RingdaqError as error:
            await _refuse(connection, error)
        except Exception as error:
            log.exception("a WebSocket failed inside the gateway")
            await _refuse(connection, error)
        finally:
            self._attended.discard(connection)

    def _session(self, connection: ServerConnection) -> StreamSession:
        assert connection.request is not None
        asked = urlsplit(connection.request.path)
        stream = unquote(asked.path.removeprefix(PATH))
        if not asked.path.startswith(PATH) or not stream:
            raise BadRequestError(f"a WebSocket's path is {PATH}STREAM; found {asked.path!r}")
        session = StreamSession(connection, self._hub, stream)
        session.limit(_rate_asked(asked.query))
        return session

    async def stop(self, grace_secs: float) -> None:
        """Take no more clients, and hang up; those that do not take note in time are cut off."""
        if self._server is None:
            return
        self._server.close()
        try:
            async with asyncio.timeout(grace_secs):
                await self._server.wait_closed()
        except TimeoutError:
            for connection in self._attended:
                connection.transport.abort()


def _rate_asked(query: str) -> float | None:
    given = parse_qs(query, keep_blank_values=True)
    unknown = sorted(given.keys() - {"max_rate_hz"})
    if unknown:
        raise BadRequestError(f"a WebSocket's address may say max_rate_hz; found {unknown}")
    if "max_rate_hz" not in given:
        return None
    try:
        return checked_rate(float(given["max_rate_hz"][-1]))
    except ValueError:
        return checked_rate(given["max_rate_hz"][-1])


async def _refuse(connection: ServerConnection, error: Exception) -> None:
    """Say why, then hang up."""
    codes = {UnknownStreamError: NOT_FOUND, BadRequestError: BAD_REQUEST, BusyError: BUSY}
    code = next((c for kind, c in codes.items() if isinstance(error, kind)), FAILED)
    text = str(error) if isinstance(error, RingdaqError) else f"internal error: {error}"
    try:
        await connection.send(json.dumps({"type": "error", "message": text}))
        await connection.close(code)
    except ConnectionClosed:
        pass
