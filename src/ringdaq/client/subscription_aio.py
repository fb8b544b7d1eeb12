"""What the asyncio client's subscriptions are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Self, TypeVar

import grpc
import grpc.aio

from ringdaq.client import forks
from ringdaq.client.calls import Call
from ringdaq.client.transport import closed_error, deadline_passed, read_error, stands

R = TypeVar("R")


def must_end() -> bool:
    """Whether somebody cancels this task; else it is its call that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Source(Generic[R]):
    """The call itself; gRPC ends it when a task that reads is cancelled, so none of the user's is.

    It knows nothing of its subscription, so that one that is dropped is closed, too.
    """

    def __init__(
        self, rpc: Any, call: Call[R], address: str, client_closed: Callable[[], bool]
    ) -> None:
        self.rpc = rpc
        self._call = call
        self._address = address
        self._client_closed = client_closed
        self._closed = self._heard = False

    async def next(self) -> R | None:
        """The next item; `None` at the end."""
        try:
            async for message in self.rpc:
                self._heard = True
                item = self._call.decode(message)
                if item is not None:
                    return item
        except grpc.RpcError as error:
            if not await self._was_meant(error):
                raise read_error(error, self._address, self._call.path) from None
        except asyncio.CancelledError:
            if must_end() or not (self._closed or self._client_closed()):
                raise
            if not (self._closed or self._call.live):
                raise closed_error(self._address, self._call.path) from None
        return None

    async def _was_meant(self, error: grpc.RpcError) -> bool:
        """Whether its reader ended it: closed it or the client, or let his seconds pass."""
        if self._closed or not self._call.live:
            return self._closed
        answered = self._heard or stands(await self.rpc.initial_metadata())
        return self._client_closed() or self._call.time_is_over(deadline_passed(error), answered)

    def close(self) -> None:
        self._closed = True
        self.rpc.cancel()


class AsyncSubscription(Generic[R]):
    """What a daemon goes on telling, one item at a time, until it ends or is closed.

    `async with` waits until the subscription stands. Whoever stops waiting for an item, as by a
    timeout, ends nothing: the next to wait gets it.
    """

    def __init__(
        self, rpc: Any, call: Call[R], address: str, client_closed: Callable[[], bool]
    ) -> None:
        self._source = _Source(rpc, call, address, client_closed)
        self._turn = asyncio.Lock()
        self._reading: asyncio.Task[R | None] | None = None

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        forks.check()
        async with self._turn:
            if self._reading is None:
                self._reading = asyncio.create_task(self._source.next())
            item = await asyncio.shield(self._reading)
            if item is None:
                raise StopAsyncIteration
            self._reading = None
            return item

    def close(self) -> None:
        """Unsubscribe; a waiting reader comes to its end."""
        self._source.close()

    def __del__(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed, and all calls with it
            self._source.close()

    async def __aenter__(self) -> Self:
        await self._source.rpc.initial_metadata()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
