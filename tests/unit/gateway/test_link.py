"""The gateway's connection to the daemon: calls that were given up, and greetings that fail."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ringdaq.control import Channel
from ringdaq.daemon.control_server import THREADS, ControlServer
from ringdaq.errors import BusyError
from ringdaq.gateway.link import MAX_CALLS, DaemonLink

PATIENCE_SECS = 20.0
"""Less than a call without a deadline of its own may take."""


class Hanging:
    """A daemon whose instruments answer when they are released."""

    def __init__(self, path: Path) -> None:
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        methods = {"hello": self._hello, "info": self._info, "instruments.call": self._call}
        self.server = ControlServer(path, methods)
        self.server.start()

    def _hello(self, _peer: Any, **_: Any) -> dict[str, Any]:
        return {}

    def _info(self, _peer: Any) -> str:
        return "answered"

    def _call(self, _peer: Any, **_: Any) -> dict[str, Any]:
        self.begun.release()
        self.release.wait(PATIENCE_SECS)
        return {}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Hanging]:
    daemon = Hanging(tmp_path / "socket")
    yield daemon
    daemon.release.set()
    daemon.server.close()


@asynccontextmanager
async def linked(path: Path, **options: Any) -> AsyncIterator[DaemonLink]:
    link = DaemonLink(path, **options)
    task = asyncio.create_task(link.run())
    async with asyncio.timeout(PATIENCE_SECS):
        await link.greeted.wait()
    yield link
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def give_up(link: DaemonLink, verb: str, count: int) -> None:
    """Ask so often, and wait for no answer; again where the daemon has much to take back."""
    given_up = 0
    async with asyncio.timeout(PATIENCE_SECS):
        while given_up < count:
            with contextlib.suppress(TimeoutError, BusyError):
                task = asyncio.ensure_future(link.call("instruments.call", {"verb": verb}))
                await asyncio.wait_for(task, 0.001)
            given_up += task.cancelled()


async def answered(link: DaemonLink) -> bool:
    """Ask until there is room."""
    async with asyncio.timeout(PATIENCE_SECS):
        while True:
            with contextlib.suppress(BusyError):
                return await link.call("info") == "answered"
            await asyncio.sleep(0.01)


def test_calls_that_were_given_up_hold_no_other_up(daemon: Hanging) -> None:
    async def use() -> None:
        async with linked(daemon.server.path) as link:
            await give_up(link, "move_abs", 70)
            assert await answered(link)

    asyncio.run(use())


def test_what_the_daemon_works_on_counts_until_it_is_answered(daemon: Hanging) -> None:
    async def use() -> None:
        async with linked(daemon.server.path) as link:
            for verb, threads in (("move_abs", "commands"), ("position", "questions")):
                for _ in range(THREADS[threads]):
                    task = asyncio.ensure_future(link.call("instruments.call", {"verb": verb}))
                    assert await asyncio.to_thread(daemon.begun.acquire, timeout=PATIENCE_SECS)
                    task.cancel()
            with pytest.raises(BusyError, match="48 calls"):
                await link.call("info")
            assert await link.call("info", room=MAX_CALLS + 1) == "answered"
            daemon.release.set()
            assert await answered(link)

    assert THREADS["commands"] + THREADS["questions"] == MAX_CALLS
    asyncio.run(use())


def test_a_daemon_that_hangs_up_at_the_greeting_is_asked_again_at_once(tmp_path: Path) -> None:
    def serve(listener: socket.socket) -> None:
        listener.accept()[0].close()
        channel = Channel(listener.accept()[0])
        hello = channel.receive()
        assert hello is not None
        channel.send({"id": hello["id"], "result": {}})
        assert channel.receive() is None
        channel.close()

    async def use() -> None:
        async with linked(tmp_path / "socket"):
            pass

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        asyncio.run(use())
        server.join(PATIENCE_SECS)


def test_an_answer_that_nobody_expected_is_not_the_end_of_the_link(daemon: Hanging) -> None:
    async def use() -> int:
        tries = 0
        ready = asyncio.Event()

        async def on_connect(_link: DaemonLink) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise KeyError("data_directory")
            ready.set()

        async with linked(daemon.server.path, on_connect=on_connect):
            async with asyncio.timeout(PATIENCE_SECS):
                await ready.wait()
        return tries

    assert asyncio.run(use()) == 2
