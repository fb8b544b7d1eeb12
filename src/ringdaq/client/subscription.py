"""What the blocking client's subscriptions are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

import grpc

from ringdaq.client import forks
from ringdaq.client.calls import Call
from ringdaq.client.transport import deadline_passed, read_error, stands

R = TypeVar("R")


class Subscription(Generic[R]):
    """What a daemon goes on telling, one item at a time, until it ends or is closed."""

    def __init__(
        self, rpc: Any, call: Call[R], address: str, client_closed: Callable[[], bool]
    ) -> None:
        self._rpc = rpc
        self._call = call
        self._address = address
        self._client_closed = client_closed
        self._closed = self._heard = False
        rpc.initial_metadata()  # comes once the subscription stands

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        forks.check()
        try:
            for message in self._rpc:
                self._heard = True
                item = self._call.decode(message)
                if item is not None:
                    return item
        except grpc.RpcError as error:
            if not self._was_meant(error):
                raise read_error(error, self._address, self._call.path) from None
        raise StopIteration

    def _was_meant(self, error: grpc.RpcError) -> bool:
        """Whether its reader ended it: closed it or the client, or let his seconds pass."""
        if self._closed or not self._call.live:
            return self._closed
        answered = self._heard or stands(self._rpc.initial_metadata())
        return self._client_closed() or self._call.time_is_over(deadline_passed(error), answered)

    def close(self) -> None:
        """Unsubscribe; any thread may, and a waiting reader comes to its end."""
        self._closed = True
        self._rpc.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
