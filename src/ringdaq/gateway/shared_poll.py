"""A question, asked at a steady pace, for any number of listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedPoll(Generic[T]):
    """Asks only while somebody listens; a slow listener hears the newest answer, never a queue."""

    def __init__(self, ask: Callable[[], Awaitable[T]], period_secs: float) -> None:
        self._ask = ask
        self._period_secs = period_secs
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[T] | None = None
        self.listeners = 0

    async def listen(self) -> AsyncGenerator[T, None]:
        """Each answer from now on; raises what asking raised."""
        self.listeners += 1
        if self._task is None:
            self._next = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run())
        try:
            while self._next is not None:
                yield await asyncio.shield(self._next)
        finally:
            self.listeners -= 1
            if not self.listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._round()
            due = max(due + self._period_secs, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _round(self) -> None:
        """Ask once, and hand the answer to everybody who waits for it."""
        answered = self._next
        try:
            answer = await self._ask()
        except Exception as error:
            self._publish(answered, error)
        else:
            self._publish(answered, answer)

    def _publish(self, answered: asyncio.Future[T] | None, answer: T | Exception) -> None:
        self._next = asyncio.get_running_loop().create_future()
        if answered is None or answered.done():
            return
        if isinstance(answer, Exception):
            answered.set_exception(answer)
            answered.exception()  # known to have been looked at, even if nobody is left
        else:
            answered.set_result(answer)


class SharedPolls(Generic[T]):
    """The same question about many things, each asked about while somebody listens."""

    def __init__(self, ask: Callable[[str], Awaitable[T]], period_secs: float) -> None:
        self._ask = ask
        self._period_secs = period_secs
        self._polls: dict[str, SharedPoll[T]] = {}

    async def listen(self, about: str) -> AsyncGenerator[T, None]:
        """Each answer from now on; raises what asking raised."""
        poll = self._polls.get(about)
        if poll is None:
            poll = self._polls[about] = SharedPoll(partial(self._ask, about), self._period_secs)
        try:
            async with aclosing(poll.listen()) as answers:
                async for answer in answers:
                    yield answer
        finally:
            if not poll.listeners:
                self._polls.pop(about, None)
