"""Queries of history: one after another, on a thread that nothing else needs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ringdaq.errors import BusyError
from ringdaq.gateway.history import HistoryDesk
from ringdaq.history import History

MAX_QUERIES = 16
"""The one that is answered, and those that wait for it; the next is refused."""


class HistoryTurns:
    """Hands queries to a desk, which answers one at a time."""

    def __init__(self, desk: HistoryDesk) -> None:
        self._desk = desk
        self._thread = ThreadPoolExecutor(1, "history")
        self._room = threading.Semaphore(MAX_QUERIES)

    async def query(
        self,
        stream: str,
        since_nanos: int | None,
        until_nanos: int | None,
        *,
        max_points: int | None,
        channels: Sequence[str],
    ) -> History:
        """See `HistoryDesk.query`; raises `BusyError` where too many wait already.

        Who is cancelled gives up its place: what was not begun never is, the rest ends soon.
        """
        if not self._room.acquire(blocking=False):
            raise BusyError(f"{MAX_QUERIES} queries of history wait already; try again later")
        given_up = threading.Event()
        answer = self._thread.submit(
            self._desk.query,
            stream,
            since_nanos,
            until_nanos,
            max_points=max_points,
            channels=channels,
            given_up=given_up.is_set,
        )
        answer.add_done_callback(lambda _: self._room.release())
        try:
            return await asyncio.wrap_future(answer)
        finally:
            given_up.set()
