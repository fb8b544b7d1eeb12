"""One question for any number of listeners."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from ringdaq.gateway.shared_poll import SharedPoll


def test_listeners_share_the_answers() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return asked

    async def listen(poll: SharedPoll[int]) -> list[int]:
        async with aclosing(poll.listen()) as answers:
            return [await anext(answers) for _ in range(5)]

    async def run() -> None:
        poll = SharedPoll(ask, 0.001)
        heard = await asyncio.gather(*(listen(poll) for _ in range(20)))
        assert all(list(h) == sorted(set(h)) for h in heard)
        assert asked < 50
        assert poll.listeners == 0
        before = asked
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert asked == before

    asyncio.run(run())


def test_a_failure_reaches_every_listener_and_the_next_may_go_well() -> None:
    async def ask() -> int:
        raise ValueError("no daemon")

    async def listen(poll: SharedPoll[int]) -> None:
        async with aclosing(poll.listen()) as answers:
            await anext(answers)

    async def run() -> None:
        poll = SharedPoll(ask, 0.001)
        results = await asyncio.gather(*(listen(poll) for _ in range(3)), return_exceptions=True)
        assert [type(r) for r in results] == [ValueError] * 3
        with pytest.raises(ValueError, match="no daemon"):
            await listen(poll)

    asyncio.run(run())
