"""One thread for each link: one call at a time, each with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ringdaq.errors import BusyError, InstrumentTimeoutError

T = TypeVar("T")
QUEUE_LENGTH = 64


class _Job:
    """One call and its outcome. A lock that the worker releases is the cheapest way to wait."""

    __slots__ = ("cancelled", "done", "error", "function", "result")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        if not self.cancelled:
            try:
                self.result = self.function()
            except BaseException as error:
                self.error = error
        self.done.release()


class Worker:
    """Runs calls one after another on a thread of its own.

    A call that outlives its deadline cannot be ended from outside: its caller is told, and later
    callers are refused at once until it comes back.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._late: tuple[str, float] | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._jobs.qsize()

    def call(self, function: Callable[[], T], *, deadline_secs: float, what: str) -> T:
        """Run the function on the worker's thread and wait for its result."""
        self._refuse(what)
        job = _Job(function)
        self._jobs.put(job)
        if not job.done.acquire(timeout=deadline_secs):
            job.cancelled = True
            self._late = (what, time.monotonic())
            raise InstrumentTimeoutError(
                f"{what} should end within {deadline_secs:g} s and has not; "
                "check the instrument's power and cable"
            )
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _refuse(self, what: str) -> None:
        late = self._late
        if late is not None:
            raise InstrumentTimeoutError(
                f"{what} must wait: {late[0]} has not come back for "
                f"{time.monotonic() - late[1]:.1f} s after its deadline; check power and cable"
            )
        if self.waiting >= QUEUE_LENGTH:
            raise BusyError(
                f"{self.name} has {QUEUE_LENGTH} calls waiting; {what} must wait for its turn: "
                "try again later"
            )

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            self._late = None

    def close(self, timeout: float = 1.0) -> bool:
        """Stop after the calls that wait; returns whether the thread has ended."""
        self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()
