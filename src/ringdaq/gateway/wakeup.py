"""A bell that threads ring and one coroutine hears."""

from __future__ import annotations

import asyncio
import contextlib
import threading

# What comes within this time goes out in one message: a message costs 0.1 ms whatever its size.
GATHER_SECS = 0.01


class Wakeup:
    """Rings once for any number of `set` calls between two waits; made in the listener's loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._lock = threading.Lock()
        self._rung = False

    def set(self) -> None:
        """Wake the listener; any thread may."""
        with self._lock:
            if self._rung:
                return
            self._rung = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its listener with it
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Sleep until rung, and a little longer so that more comes together."""
        await self._event.wait()
        await asyncio.sleep(GATHER_SECS)
        with self._lock:
            self._event.clear()
            self._rung = False
