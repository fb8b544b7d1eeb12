"""Rings read once for all subscribers: one thread a stream, asleep until its writer wakes it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ringdaq.errors import (
    BusyError,
    NotYetWrittenError,
    OverrunError,
    RingdaqError,
    StreamError,
    UnknownStreamError,
)
from ringdaq.gateway.batch import RingBatch
from ringdaq.model import StreamSpec
from ringdaq.streams import RingDirectory, StreamReader

log = logging.getLogger(__name__)

# How soon a new stream, or the next generation of one, is noticed while somebody subscribes.
SCAN_SECS = 0.5
WAIT_SECS = 1.0
MAX_BATCH_RECORDS = 256
MAX_BATCH_BYTES = 8 << 20
MAX_SUBSCRIPTIONS = 512


@dataclass(frozen=True, slots=True)
class Ring:
    """What must be known of a ring before its records can be read."""

    spec: StreamSpec
    generation: str
    schema_ipc: bytes
    """The schema as an Arrow IPC message."""


class Wish(Protocol):
    """What a subscriber wants of the streams that exist."""

    def wants(self, spec: StreamSpec) -> bool:
        """Whether anything of the stream is wanted."""

    def check(self, specs: Iterable[StreamSpec]) -> None:
        """Raise a `RingdaqError` for a wish that these streams cannot fulfil."""


class Subscriber(Protocol):
    """Somebody who is given records; called on the threads that read the rings."""

    def wants(self, spec: StreamSpec) -> bool:
        """Whether anything of the stream is wanted."""

    def offer(self, batch: RingBatch) -> None:
        """Take, or count as dropped, new records; never waits."""

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count what the ring's writer overwrote before it could be read."""

    def fail(self, error: RingdaqError) -> None:
        """The stream cannot be read any more."""


class Follower(threading.Thread):
    """Reads one stream, through all its generations, for everybody who wants it."""

    def __init__(self, hub: RingHub, stream: str, path: Path, *, newest: bool) -> None:
        super().__init__(name=f"ring-{stream}", daemon=True)
        self.stream = stream
        self.path = path
        """The ring that is read now, or was read last."""
        self._hub = hub
        self._reader = StreamReader.open(path)
        now = self._reader.statistics()
        self._sequence = now.next_sequence if newest else now.oldest_sequence
        self._asked_to_stop = threading.Event()

    @property
    def spec(self) -> StreamSpec:
        """What the ring carries."""
        return self._reader.spec

    def stop(self) -> None:
        """Let the thread end, within `WAIT_SECS`."""
        self._asked_to_stop.set()

    def run(self) -> None:
        try:
            while self._follow() and self._next_generation():
                pass
        except RingdaqError as error:
            log.warning("stream %s cannot be read any more: %s", self.stream, error)
            self._hub.forget(self)
            for subscriber in self._hub.subscribers_of(self.spec):
                subscriber.fail(error)
        finally:
            self._reader.close()

    def _follow(self) -> bool:
        """Read to the end of this ring; `False` if asked to stop before."""
        while not self._asked_to_stop.is_set():
            before = self._reader.statistics()
            if self._sequence < before.next_sequence:
                self._read(before.next_sequence)
            elif before.closed or not before.writer_alive:
                # What was written between the count and the end is seen by a second look.
                if self._sequence >= self._reader.statistics().next_sequence:
                    return True
            else:
                self._reader.wait(self._sequence, WAIT_SECS)
        return False

    def _read(self, end: int) -> None:
        """Hand on what is written, as far as one batch goes."""
        batch = RingBatch(self._reader)
        try:
            while self._sequence < end and batch.has_room(MAX_BATCH_RECORDS, MAX_BATCH_BYTES):
                batch.add(self._reader.read(self._sequence))
                self._sequence += 1
        except OverrunError as error:
            self._hand_on(batch)
            self._sequence = error.resume_at
            for subscriber in self._hub.subscribers_of(self.spec):
                subscriber.lose(self.spec, error.lost_records, error.lost_rows)
        except NotYetWrittenError:
            self._hand_on(batch)
        else:
            self._hand_on(batch)

    def _hand_on(self, batch: RingBatch) -> None:
        if batch.records:
            for subscriber in self._hub.subscribers_of(self.spec):
                subscriber.offer(batch)

    def _next_generation(self) -> bool:
        following = self._hub.generation_after(self.stream, self.path)
        if following is None:
            return False
        reader = StreamReader.open(following)
        self._reader.close()
        self._reader, self.path = reader, following
        self._sequence = reader.statistics().oldest_sequence
        return True


class RingHub:
    """Who wants which streams, and the threads that read them; idle without subscribers."""

    def __init__(self, directory: Path) -> None:
        self._rings = RingDirectory(directory)
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()
        self._followers: dict[str, Follower] = {}
        self._known: dict[str, Path] = {}
        self._specs: dict[Path, StreamSpec] = {}
        self._scanning: asyncio.Task[None] | None = None
        self._looked = False

    @property
    def subscribers(self) -> tuple[Subscriber, ...]:
        """Everybody who is subscribed now."""
        return self._subscribers

    def subscribers_of(self, spec: StreamSpec) -> list[Subscriber]:
        """Those who want a stream."""
        return [s for s in self._subscribers if s.wants(spec)]

    def generation_after(self, stream: str, path: Path) -> Path | None:
        """The ring that follows one of the same stream, if there is one by now."""
        rings = self._rings.generations(stream)
        later = rings[rings.index(path) + 1 :] if path in rings else rings[-1:]
        return later[0] if later else None

    async def check(self, wish: Wish) -> None:
        """Refuse a wish that the streams there are cannot fulfil."""
        rings = await asyncio.to_thread(self._newest)
        wish.check([await asyncio.to_thread(_read_spec, path) for path in rings.values()])

    async def newest(self, stream: str) -> Ring | None:
        """The newest ring of a stream, if there is one."""
        path = (await asyncio.to_thread(self._newest)).get(stream)
        return None if path is None else await asyncio.to_thread(_read_ring, path)

    @asynccontextmanager
    async def subscribed(self, subscriber: Subscriber) -> AsyncIterator[None]:
        """Be given records as long as the block lasts, from when it is entered."""
        if len(self._subscribers) >= MAX_SUBSCRIPTIONS:
            raise BusyError(
                f"{MAX_SUBSCRIPTIONS} subscriptions are open already; close some and try again"
            )
        self._subscribers = (*self._subscribers, subscriber)
        try:
            await asyncio.to_thread(self._scan)
            if self._scanning is None:
                self._scanning = asyncio.create_task(self._scan_on())
            yield
        finally:
            self._subscribers = tuple(s for s in self._subscribers if s is not subscriber)
            if not self._subscribers:
                self._rest()

    def _rest(self) -> None:
        """Stop all work: nobody listens."""
        if self._scanning is not None:
            self._scanning.cancel()
            self._scanning = None
        for follower in self._followers.values():
            follower.stop()
        self._followers.clear()
        self._known.clear()
        self._specs.clear()
        self._looked = False

    async def _scan_on(self) -> None:
        while True:
            await asyncio.sleep(SCAN_SECS)
            await asyncio.to_thread(self._scan)

    def _newest(self) -> dict[str, Path]:
        """The newest ring of each stream."""
        found = {}
        for stream in self._rings.streams():
            rings = self._rings.generations(stream)
            if rings:
                found[stream] = rings[-1]
        return found

    def _spec(self, path: Path) -> StreamSpec:
        spec = self._specs.get(path)
        if spec is None:
            spec = self._specs[path] = _read_spec(path)
        return spec

    def _scan(self) -> None:
        """Start to follow what is wanted and not followed yet; leave what nobody wants."""
        with self._lock:
            fresh, self._looked = not self._looked, True
            for stream, path in self._newest().items():
                try:
                    self._attend(stream, path, fresh=fresh)
                except (OSError, StreamError) as error:
                    log.warning("ring %s cannot be read: %s", path, error)
            self._leave_unwanted()

    def _attend(self, stream: str, path: Path, *, fresh: bool) -> None:
        """See that a stream is followed if it is wanted, from where the last look at it was."""
        before = self._known.get(stream)
        self._known[stream] = path
        follower = self._followers.get(stream)
        if follower is not None and follower.is_alive():
            return
        newest = follower is None and (fresh or before == path)
        if not newest:
            last = follower.path if follower is not None else before
            following = path if last is None else self.generation_after(stream, last)
            if following is None:
                return
            path = following
        if self.subscribers_of(self._spec(path)):
            self._followers[stream] = Follower(self, stream, path, newest=newest)
            self._followers[stream].start()

    def _leave_unwanted(self) -> None:
        for stream, follower in list(self._followers.items()):
            if not self.subscribers_of(follower.spec):
                follower.stop()
                del self._followers[stream]

    def forget(self, follower: Follower) -> None:
        """A follower has failed; its stream may be tried again."""
        with self._lock:
            if self._followers.get(follower.stream) is follower:
                del self._followers[follower.stream]


def _read_spec(path: Path) -> StreamSpec:
    with StreamReader.open(path) as reader:
        return reader.spec


def _read_ring(path: Path) -> Ring:
    with StreamReader.open(path) as reader:
        return Ring(reader.spec, reader.generation, reader.schema_ipc)


def unknown_stream(name: str, specs: Iterable[StreamSpec]) -> UnknownStreamError:
    """The error for a name that no stream has."""
    known = ", ".join(sorted(spec.name for spec in specs)) or "none"
    return UnknownStreamError(
        f"no stream or channel is called {name!r}; the streams are: {known}", stream=name
    )
