"""What goes wrong in a call becomes a gRPC status with the error's class and fields."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from ringdaq.errors import RingdaqError
from ringdaq.gateway.grpc_types import Context, Continuation, Interceptor
from ringdaq.status import grpc_code_name
from ringdaq.wire import ERROR_KEY, pack_error, status_text

log = logging.getLogger(__name__)


async def abort(context: Context, error: Exception) -> None:
    """End a call with an error; does not return."""
    code = grpc.StatusCode[grpc_code_name(error)]
    await context.abort(code, status_text(error), ((ERROR_KEY, pack_error(error)),))


async def _fail(context: Context, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, RingdaqError):
        log.exception("a call failed inside the gateway")
    await abort(context, error)


def _answering(behaviour: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def answer(request: Any, context: Context) -> Any:
        try:
            return await behaviour(request, context)
        except Exception as error:
            await _fail(context, error)

    return answer


def _telling(
    behaviour: Callable[..., AsyncGenerator[Any, None]],
) -> Callable[..., AsyncGenerator[Any, None]]:
    async def tell(request: Any, context: Context) -> AsyncGenerator[Any, None]:
        try:
            async with aclosing(behaviour(request, context)) as items:
                async for item in items:
                    yield item
        except Exception as error:
            await _fail(context, error)

    return tell


class ErrorInterceptor(Interceptor):
    """Turns what a service raises into the status of its call."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/ringdaq."):
            return handler
        if handler.response_streaming:
            return handler._replace(unary_stream=_telling(handler.unary_stream))
        return handler._replace(unary_unary=_answering(handler.unary_unary))
