"""One thread for each link: one call at a time, each with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

from ringdaq.errors import BusyError, InstrumentTimeoutError

T = TypeVar("T")
QUEUE_LENGTH = 64
# How long an inline caller stands back when somebody waits for a turn.
YIELD_SECS = 20e-6


class _Job(Generic[T]):
    """One call and its outcome. A lock that the worker releases is the cheapest way to wait."""

    __slots__ = ("args", "cancelled", "done", "error", "function", "result")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.result: T | None = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        if not self.cancelled:
            try:
                self.result = self.function(*self.args)
            except BaseException as error:
                self.error = error
        self.done.release()


def _refusal_after(what: str) -> InstrumentTimeoutError:
    return InstrumentTimeoutError(
        f"{what} is not carried out: the call before it did not come back in time, and its caller "
        "was told so"
    )


class Watch:
    """What a thread that calls workers in its own name is in, for whoever watches its deadlines."""

    def __init__(self) -> None:
        self.busy: tuple[Worker, str, float, float] | None = None
        """The worker, the call, its deadline in seconds, and when it began (monotonic)."""
        self.abandoned = False
        """Whether nobody waits for its thread any more, which then carries out no further call."""

    def overdue(self) -> InstrumentTimeoutError | None:
        """The error of a call that has outlived its deadline; nobody waits for it any more then."""
        busy = self.busy
        if busy is None or time.monotonic() - busy[3] < busy[2]:
            return None
        worker, what, deadline_secs, _ = busy
        error = worker.give_up(what, deadline_secs)
        if self.busy is not busy:
            worker.take_back()  # it ended at the last moment, perhaps before it was given up
            return None
        self.abandoned = True
        return error


class _Own(threading.local):
    watch: Watch | None = None


_own = _Own()


@contextmanager
def inline(watch: Watch) -> Iterator[None]:
    """Within it, this thread carries calls out itself, in its turn, instead of handing them over.

    A tight loop saves two hand-overs a call by that; somebody else must look after `watch`.
    """
    _own.watch = watch
    try:
        yield
    finally:
        _own.watch = None


class InlineCalls:
    """A run's calls, which the thread that serves its script carries out itself."""

    def __init__(self) -> None:
        self._watch = Watch()

    @contextmanager
    def here(self) -> Iterator[None]:
        """From now on the calling thread is the one that is watched."""
        self._watch = watch = Watch()
        with inline(watch):
            yield

    def overdue(self) -> InstrumentTimeoutError | None:
        """The error of a call that has outlived its deadline and is given up now, if one is."""
        return self._watch.overdue()


class Worker:
    """Runs calls one after another on a thread of its own, or on one that is `inline`.

    A call that outlives its deadline cannot be ended from outside: its caller is told, and later
    callers are refused at once until it comes back.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._late: tuple[str, float] | None = None
        # Whoever carries out a call holds it.
        self._turn = threading.Lock()
        # One for each who waits for it: whoever comes again and again stands back then.
        self._wanted: list[None] = []
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._jobs.qsize()

    def call(self, function: Callable[[], T], *, deadline_secs: float, what: str) -> T:
        """Run the function on the worker's thread, or here where this is `inline`; its result."""
        return self.ready(function, deadline_secs=deadline_secs, what=what)()

    def ready(
        self,
        function: Callable[..., T],
        *,
        deadline_secs: float,
        what: str,
        blame: Callable[[Exception], None] = lambda _: None,
    ) -> Callable[..., T]:
        """`call` of the function with whatever arguments, to be made again and again.

        `blame` gets every error first, and may raise another in its place.
        """
        own, acquire, release, now = _own, self._turn.acquire, self._turn.release, time.monotonic
        wanted = self._wanted

        def call(*args: Any) -> T:
            try:
                watch = own.watch
                if watch is None:
                    return self._hand_over(_Job(function, args), deadline_secs, what)
                if watch.abandoned:
                    raise _refusal_after(what)
                if wanted:
                    time.sleep(YIELD_SECS)
                if not acquire(False):
                    self._await_turn(deadline_secs, what)
                try:
                    watch.busy = (self, what, deadline_secs, now())
                    return function(*args)
                finally:
                    # In this order: `Watch.overdue` sets the second, then looks at the first.
                    watch.busy = None
                    self._late = None
                    release()
            except Exception as error:
                blame(error)
                raise

        return call

    def _hand_over(self, job: _Job[T], deadline_secs: float, what: str) -> T:
        self._refuse(what)
        self._jobs.put(job)
        if not job.done.acquire(timeout=deadline_secs):
            job.cancelled = True
            error = self.give_up(what, deadline_secs)
            if job.done.acquire(blocking=False):
                self.take_back()  # it ended at the last moment, perhaps before it was given up
            raise error
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def give_up(self, what: str, deadline_secs: float) -> InstrumentTimeoutError:
        """Refuse callers until the call under way comes back; returns what to tell its caller."""
        self._late = (what, time.monotonic())
        return InstrumentTimeoutError(
            f"{what} should end within {deadline_secs:g} s and has not; "
            "check the instrument's power and cable",
            instrument=what.rpartition(".")[0],
        )

    def take_back(self) -> None:
        """Refuse callers no longer."""
        self._late = None

    def _await_turn(self, deadline_secs: float, what: str) -> None:
        if self._late is not None:  # and has the turn
            self._refuse(what)
        self._wanted.append(None)
        try:
            if not self._turn.acquire(timeout=deadline_secs):
                error = self.give_up(what, deadline_secs)
                if not self._turn.acquire(blocking=False):
                    raise error
                self.take_back()  # the call before came back at the last moment
        finally:
            self._wanted.pop()

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
            self._take_turn()
            try:
                job.run()
            finally:
                self._late = None
                self._turn.release()

    def _take_turn(self) -> None:
        if not self._turn.acquire(blocking=False):
            self._wanted.append(None)
            self._turn.acquire()
            self._wanted.pop()

    def close(self, timeout: float = 1.0) -> bool:
        """Stop after the calls that wait; returns whether the thread has ended."""
        self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()
