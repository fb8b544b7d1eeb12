"""One thread for each link: one call at a time, each with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from ringdaq.errors import BusyError, InstrumentTimeoutError

T = TypeVar("T")
QUEUE_LENGTH = 64


class Worker:
    """Runs calls one after another on a thread of its own.

    A call that outlives its deadline cannot be ended from outside: its caller is told, and later
    callers are refused at once until it comes back.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.Queue[tuple[Future[Any], Callable[[], Any], str] | None]
        self._jobs = queue.Queue(QUEUE_LENGTH)
        self._late: tuple[str, float] | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._jobs.qsize()

    def call(self, function: Callable[[], T], *, deadline_secs: float, what: str) -> T:
        """Run the function on the worker's thread and wait for its result."""
        self._refuse_if_late(what)
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((future, function, what))
        except queue.Full:
            raise BusyError(
                f"{self.name} has {QUEUE_LENGTH} calls waiting; {what} must wait for its turn: "
                "try again later"
            ) from None
        try:
            return future.result(timeout=deadline_secs)
        except FutureTimeoutError:
            if future.done():  # the driver's own TimeoutError, not our deadline
                raise
            future.cancel()
            self._late = (what, time.monotonic())
            raise InstrumentTimeoutError(
                f"{what} should end within {deadline_secs:g} s and has not; "
                "check the instrument's power and cable",
            ) from None

    def _refuse_if_late(self, what: str) -> None:
        late = self._late
        if late is not None:
            raise InstrumentTimeoutError(
                f"{what} must wait: {late[0]} has not come back for "
                f"{time.monotonic() - late[1]:.1f} s after its deadline; check power and cable"
            )

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function, _ = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
            self._late = None

    def close(self, timeout: float = 1.0) -> bool:
        """Stop after the call under way; returns whether the thread has ended."""
        try:
            self._jobs.put(None, timeout=timeout)
        except queue.Full:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()
