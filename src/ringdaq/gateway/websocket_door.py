"""Who may open a WebSocket: whoever has the token, from this machine's own pages only."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.datastructures import Headers
    from websockets.http11 import Request, Response

PROTOCOL = Subprotocol("ringdaq.v1")
TOKEN_PREFIX = "ringdaq.token."
"""A browser's script can set no header, but it can offer this as a subprotocol."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Door:
    """Refuses what gRPC would refuse, and pages from elsewhere."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request that is refused; `None` lets it in."""
        headers = request.headers
        if not (_is_here(f"//{headers.get('Host', '')}") and _own_page(headers)):
            return connection.respond(
                HTTPStatus.FORBIDDEN,
                "a page must be served from localhost, as the gateway is; found another host\n",
            )
        if not any(hmac.compare_digest(found, self._token) for found in _tokens(headers)):
            return connection.respond(
                HTTPStatus.UNAUTHORIZED,
                "a WebSocket needs the daemon's token, as 'Authorization: Bearer TOKEN' or as the "
                f"subprotocol '{TOKEN_PREFIX}TOKEN'; it lies in the daemon's state directory\n",
            )
        return None


def choose_protocol(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """ringdaq's own where it is offered; never the one that is the token."""
    del connection
    return PROTOCOL if PROTOCOL in offered else None


def _own_page(headers: Headers) -> bool:
    """Whether it is no page, or one that this machine serves."""
    origins = headers.get_all("Origin")
    return all(_is_here(origin) for origin in origins)


def _is_here(url: str) -> bool:
    try:
        return urlsplit(url).hostname in LOOPBACK
    except ValueError:
        return False


def _tokens(headers: Headers) -> list[bytes]:
    bearers = [value.removeprefix("Bearer ") for value in headers.get_all("Authorization")]
    offers = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
    offered = [
        offer.strip().removeprefix(TOKEN_PREFIX)
        for offer in offers
        if offer.strip().startswith(TOKEN_PREFIX)
    ]
    return [token.encode() for token in (*bearers, *offered)]
