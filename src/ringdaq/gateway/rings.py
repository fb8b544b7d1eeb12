"""Rings read once for all subscribers: who wants which streams, and the threads that read them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from ringdaq.errors import BusyError, StreamError, UnknownStreamError
from ringdaq.gateway.follower import Follower, Listener
from ringdaq.gateway.ring_files import Place, Ring, RingFiles
from ringdaq.gateway.wishes import RUN_PREFIX, run_of
from ringdaq.model import StreamSpec

log = logging.getLogger(__name__)

# How soon a new stream, or the next generation of one, is noticed while somebody subscribes.
SCAN_SECS = 0.5
READ_OUT_SECS = 0.02
MAX_SUBSCRIPTIONS = 512


class Wish(Protocol):
    """What a subscriber wants of the streams that exist."""

    @property
    def runs(self) -> frozenset[str]:
        """The runs of which anything is named."""

    @property
    def ends(self) -> bool:
        """Whether nothing else is named, so that it ends with them."""

    def names(self, stream: str) -> bool:
        """Whether anything of a stream of this name may be wanted."""

    def wants(self, spec: StreamSpec) -> bool:
        """Whether anything of the stream is wanted."""

    def check(self, specs: Iterable[StreamSpec], streams: Collection[str]) -> None:
        """Raise a `RingdaqError` for a wish that these streams cannot fulfil.

        `specs` are those of `streams` that it names.
        """


class Subscriber(Listener, Protocol):
    """Somebody who is given records of the streams that are wanted."""

    @property
    def wish(self) -> Wish:
        """What is wanted."""

    def gone(self, stream: str) -> None:
        """No ring of a stream is left: what was kept for it may go."""

    def end(self) -> None:
        """All was handed on, and nothing will come any more."""


class Runs(Protocol):
    """What is known of runs."""

    async def known(self, run_id: str) -> bool:
        """Whether there is, or was, a run of that id."""

    async def over(self, run_id: str) -> None:
        """Wait until a run is over, and all its rings are closed."""


class RingHub:
    """Who wants which streams, and the threads that read them; idle without subscribers."""

    def __init__(self, directory: Path, runs: Runs) -> None:
        self._runs = runs
        self._files = RingFiles(directory)
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()
        self._scanning: asyncio.Task[None] | None = None
        self._idle = True
        # What only a scan touches, with the lock:
        self._followers: dict[str, Follower] = {}
        self._last: dict[str, Place] = {}
        """How far streams were read that nobody reads now: nothing of them is to come again."""
        self._streams: frozenset[str] = frozenset()
        """Those that had a ring."""
        self._settled: frozenset[Subscriber] = frozenset()
        """Whom the last scan served: what has come since is for them from its first record on."""

    def listeners(self, spec: StreamSpec) -> list[Subscriber]:
        """Those who want a stream."""
        return [s for s in self._subscribers if s.wish.wants(spec)]

    def ring_after(self, stream: str, place: Place) -> Path | None:
        """The ring that follows one of the same stream, if there is one by now."""
        return self._files.after(stream, place)

    async def newest(self, stream: str) -> Ring | None:
        """The newest ring of a stream, if there is one."""
        return await asyncio.to_thread(self._newest, stream)

    def _newest(self, stream: str) -> Ring | None:
        path = self._files.newest().get(stream)
        with suppress(UnknownStreamError):  # removed a moment ago
            return None if path is None else self._files.read(path)
        return None

    @asynccontextmanager
    async def subscribed(self, subscriber: Subscriber) -> AsyncIterator[None]:
        """Be given records as long as the block lasts, from when it is entered.

        Raises a `RingdaqError` for a wish that the streams there are cannot fulfil.
        """
        await self._check_runs(
            subscriber.wish, await asyncio.to_thread(self._check, subscriber.wish)
        )
        if len(self._subscribers) >= MAX_SUBSCRIPTIONS:
            raise BusyError(
                f"{MAX_SUBSCRIPTIONS} subscriptions are open already; close some and try again"
            )
        self._subscribers = (*self._subscribers, subscriber)
        ending = asyncio.create_task(self._end_with_runs(subscriber))
        try:
            if self._scanning is None:
                self._scanning = asyncio.create_task(self._scan_on())
            await asyncio.to_thread(self._scan)
            yield
        finally:
            ending.cancel()
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)

    async def _end_with_runs(self, subscriber: Subscriber) -> None:
        """End a subscription of runs alone once they are over and all they wrote is handed on."""
        if not subscriber.wish.ends:
            return
        for run_id in sorted(subscriber.wish.runs):
            await self._runs.over(run_id)
        await asyncio.to_thread(self._scan)
        while self._is_reading_for(subscriber.wish):
            await asyncio.sleep(READ_OUT_SECS)
        subscriber.end()

    def _is_reading_for(self, wish: Wish) -> bool:
        followers = tuple(self._followers.values())
        return any(one.is_alive() and wish.wants(one.ring.spec) for one in followers)

    async def _check_runs(self, wish: Wish, streams: Iterable[str]) -> None:
        """Raise `UnknownStreamError` for a run that nobody knows."""
        for run_id in sorted(wish.runs.difference(run_of(stream) for stream in streams)):
            if not await self._runs.known(run_id):
                raise UnknownStreamError(
                    f"there is no run {run_id!r}, and no stream of it; "
                    "`ringdaq client runs` tells the ids of runs",
                    stream=f"{RUN_PREFIX}{run_id}",
                )

    def _check(self, wish: Wish) -> Collection[str]:
        """Ask for what can be read; what cannot is a failure only where it is what is wanted.

        Returns the names of all streams.
        """
        paths = self._files.newest()
        specs, failure = [], None
        for stream, path in paths.items():
            if wish.names(stream):
                try:
                    specs.append(self._files.read(path).spec)
                except StreamError as error:
                    failure = error
        try:
            wish.check(specs, paths.keys())
        except UnknownStreamError:
            if failure is None:
                raise
            raise failure from None
        return paths.keys()

    # --- what is followed

    async def _scan_on(self) -> None:
        """Scan as long as there are subscribers, and once more when they are gone."""
        while self._subscribers or not self._idle:
            await asyncio.sleep(SCAN_SECS)
            try:
                await asyncio.to_thread(self._scan)
            except Exception:
                log.exception("the rings could not be looked at")
        self._scanning = None

    def _scan(self) -> None:
        """Start to follow what is wanted and not followed yet; leave what nobody wants."""
        with self._lock:
            self._idle = False  # before it is asked who is there: each may leave at any moment
            subscribers = self._subscribers
            self._note_ends()
            newest = self._files.newest() if subscribers else {}
            for stream, path in newest.items():
                if stream not in self._followers and self._is_named(stream):
                    self._attend(subscribers, stream, path)
            self._leave_unwanted(newest.keys())
            self._settled = frozenset(subscribers)
            self._idle = not subscribers

    def _note_ends(self) -> None:
        """Take out the followers that have ended."""
        for stream, follower in list(self._followers.items()):
            if not follower.is_alive():
                self._last[stream] = follower.ring.place
                del self._followers[stream]

    def _attend(self, subscribers: Iterable[Subscriber], stream: str, path: Path) -> None:
        """See that a stream is followed if it is wanted; what cannot be read is left out."""
        try:
            ring = self._files.read(path)
            if self._is_read(stream, ring) and self._settled.issuperset(subscribers):
                return
            wanting = [s for s in subscribers if s.wish.wants(ring.spec)]
            if wanting and self._settled.isdisjoint(wanting):
                self._follow(stream, path, newest=True)
            elif wanting and (following := self._unread(stream, ring)) is not None:
                self._follow(stream, following, newest=False)
        except Exception as error:
            self._skip(stream, path, error)

    def _unread(self, stream: str, newest: Ring) -> Path | None:
        """The oldest ring of a stream that has come since the stream was read, or was not there."""
        last = self._last.get(stream)
        if last is None:
            return self._files.first(stream)
        return None if self._is_read(stream, newest) else self._files.after(stream, last)

    def _is_read(self, stream: str, ring: Ring) -> bool:
        """Whether a ring was read to its end."""
        last = self._last.get(stream)
        return last is not None and last.generation == ring.generation

    def _follow(self, stream: str, path: Path, *, newest: bool) -> None:
        follower = Follower(self, path, newest=newest)
        if newest and follower.at_end:
            follower.close()
            self._last[stream] = follower.ring.place
            return
        follower.start()
        self._followers[stream] = follower

    def _skip(self, stream: str, path: Path, error: Exception) -> None:
        """Go on with what may come after a ring that cannot be read."""
        if isinstance(error, UnknownStreamError):  # removed a moment ago
            return
        place = self._files.place(path)
        if self._last.get(stream) != place:
            log.warning("ring %s cannot be read: %s", path, error, exc_info=_unforeseen(error))
        self._last[stream] = place

    def _leave_unwanted(self, streams: Collection[str]) -> None:
        """Stop what nobody wants, and forget what nobody wants or no ring is left of."""
        for stream, follower in list(self._followers.items()):
            if not self.listeners(follower.ring.spec):
                follower.stop()
                del self._followers[stream]
        for stream in list(self._last):
            if stream not in streams or not self._is_named(stream):
                del self._last[stream]
        for stream in self._streams.difference(streams):
            for subscriber in self._subscribers:
                subscriber.gone(stream)
        self._streams = frozenset(streams)

    def _is_named(self, stream: str) -> bool:
        return any(subscriber.wish.names(stream) for subscriber in self._subscribers)


def _unforeseen(error: Exception) -> bool:
    return not isinstance(error, StreamError)
