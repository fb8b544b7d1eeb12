"""Where the consumer of a subscription waits: for something to take, the end, or a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ringdaq.errors import RingdaqError
from ringdaq.gateway.wakeup import Wakeup

T = TypeVar("T")


class Outlet:
    """The consumer's side of a queue; whoever fills the queue wakes it."""

    def __init__(self) -> None:
        self._failure: RingdaqError | None = None
        self._ended = False
        self._wakeup = Wakeup()

    def fail(self, error: RingdaqError) -> None:
        """End the subscription with an error."""
        self._failure = error
        self._wakeup.set()

    def end(self) -> None:
        """Nothing will come any more."""
        self._ended = True
        self._wakeup.set()

    async def _take(self, take: Callable[[], list[T]]) -> list[T]:
        """Wait until there is something, and take it; nothing at the end.

        Raises what the subscription failed with.
        """
        while True:
            ended = self._ended
            if not ended:
                await self._wakeup.wait()
            if self._failure is not None:
                raise self._failure
            if (taken := take()) or ended:
                return taken
