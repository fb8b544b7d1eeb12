"""Nobody calls without the token."""

from __future__ import annotations

import hmac
import stat
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from ringdaq.errors import AuthenticationError
from ringdaq.gateway.failures import abort
from ringdaq.gateway.grpc_types import Context, Continuation, Interceptor

HEALTH = "/grpc.health.v1.Health/"
MAX_USER_CHARS = 40


def read_token(path: Path) -> str:
    """The token; refuses a file that others can read, and one without a real token."""
    try:
        mode, token = path.stat().st_mode, path.read_text().strip()
    except OSError as error:
        raise AuthenticationError(
            f"the token should be readable: {error.strerror}: {path}"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise AuthenticationError(
            f"only its owner may read the token's file, found mode {stat.S_IMODE(mode):o}; "
            f"run: chmod 600 {path}"
        )
    if len(token) < 16:
        raise AuthenticationError(
            f"a token has 16 characters or more, found {len(token)}; remove the file and start "
            f"the daemon again: {path}"
        )
    return token


def caller(context: Context) -> str:
    """Who calls, as the client says; never the name of a run or of a local user."""
    given = dict(context.invocation_metadata() or ()).get("ringdaq-user", "")
    name = "".join(c for c in str(given) if c.isprintable())[:MAX_USER_CHARS]
    return f"{name or 'unknown'} (network)"


class TokenInterceptor(Interceptor):
    """Refuses every call without the right `authorization: Bearer TOKEN`, but those for health."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}".encode()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler_call_details.method.startswith(HEALTH) or self._allowed(handler_call_details):
            return handler
        return refusal(handler)

    def _allowed(self, details: grpc.HandlerCallDetails) -> bool:
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        raw = given if isinstance(given, bytes) else given.encode()
        return hmac.compare_digest(raw, self._wanted)


async def _refuse(_request: Any, context: Context) -> None:
    await abort(
        context,
        AuthenticationError(
            "a call needs the daemon's token as metadata 'authorization: Bearer TOKEN', found "
            "none or a wrong one; it lies in the daemon's state directory"
        ),
    )


def refusal(handler: Any) -> Any:
    """A handler that refuses, of the same shape as the one it stands for."""
    if handler is None or not (handler.request_streaming or handler.response_streaming):
        return grpc.unary_unary_rpc_method_handler(_refuse)
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(_refuse)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(_refuse)
    return grpc.unary_stream_rpc_method_handler(_refuse)
