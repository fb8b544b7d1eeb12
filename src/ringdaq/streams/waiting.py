"""Waiting for a ring in a loop of events."""

from __future__ import annotations

import asyncio
import contextlib

import ringdaq_core as core

from ringdaq.errors import StreamError

_SLICE_SECS = 0.5
"""How long a thread outlives who gave up waiting, where threads have to wait."""


class Waiter:
    """Lets one coroutine at a time wait for one ring.

    One thread of the process sleeps for all rings and tells by a descriptor. Where the kernel
    cannot do that, a thread of the loop's own sleeps instead.
    """

    def __init__(self, reader: core.RingReader) -> None:
        self._reader = reader
        self._waits = False
        try:
            self._watch: core.Watch | None = core.Watch(reader)
        except OSError:
            self._watch = None

    async def wait(self, sequence: int, timeout: float | None) -> bool:
        """Sleep until there is something to find out about a record; False after the timeout."""
        if self._waits:
            raise StreamError("only one task at a time may wait for the records of one follower")
        self._waits = True
        try:
            async with asyncio.timeout(timeout):
                if self._watch is None:
                    await self._in_a_thread(sequence)
                elif not self._watch.arm(sequence):
                    await self._told(self._watch)
        except TimeoutError:
            return False
        finally:
            self._waits = False
            if self._watch is not None:
                self._watch.disarm()
        return True

    async def _told(self, watch: core.Watch) -> None:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        loop.add_reader(watch.fileno(), _settle, told)
        try:
            await told
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.remove_reader(watch.fileno())

    async def _in_a_thread(self, sequence: int) -> None:
        while not await asyncio.to_thread(self._reader.wait, sequence, _SLICE_SECS):
            pass


def _settle(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)
