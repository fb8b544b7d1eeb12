"""Reading on and on, in a loop or in a coroutine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ringdaq_core as core

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import (
    EndOfStreamError,
    NotYetWrittenError,
    OverrunError,
    StreamError,
    WriterGoneError,
)
from ringdaq.streams.failures import CORE_ERRORS
from ringdaq.streams.record import CopiedRecord, Record
from ringdaq.streams.waiting import Waiter

if TYPE_CHECKING:
    from typing import Self

    from ringdaq.streams.reader import StreamReader

Successor = Callable[["StreamReader"], "Path | None"]
"""The generation after the one of a reader, if there is one by now."""
_FOREVER_SECS = 1e9
_LOOK_SECS = 0.25
"""How often a follower looks for a next generation, while the writer is dead."""
_TURN_SECS = 0.005
"""How long a coroutine that always finds a record keeps the others waiting."""


class FollowerStatistics(NamedTuple):
    """What one follower has seen, and how far it is behind."""

    records: int
    """Given to whoever follows."""
    rows: int
    lag_records: int
    """Committed in the ring that is read, and not yet given."""
    lag_secs: float
    """From the newest row given to the newest one committed; all of the ring before the first."""
    overruns: int
    """How often the writer came by."""
    lost_records: int
    lost_rows: int | None
    """`None` once they could not be counted."""


class Following(core.Walk):
    """Records from one on, for `for` and for `async for`; into later generations if there are any.

    Nothing is lost when it is given up between two records, or cancelled while it waits: whoever
    iterates on gets the next one. After an `OverrunError` it goes on with the oldest one left.
    """

    def __new__(
        cls, reader: StreamReader, sequence: int, *, timeout: float | None, **_rest: object
    ) -> Self:
        """Begin the core's part."""
        patience = _FOREVER_SECS if timeout is None else timeout
        place = reader.native(), reader.layout, reader.checked(sequence)
        return super().__new__(cls, CopiedRecord, patience, *place)

    def __init__(
        self,
        reader: StreamReader,
        sequence: int,  # noqa: ARG002 - the core has it
        *,
        timeout: float | None,
        skip_lost: bool = False,
        successor: Successor | None = None,
    ) -> None:
        self._reader = reader
        self._timeout = timeout
        self._skip_lost = skip_lost
        self._successor = successor
        self._waiter: Waiter | None = None
        self._turn_ends = 0.0
        self._overruns = self._lost_records = 0
        self._lost_rows: int | None = 0

    if TYPE_CHECKING:

        def __next__(self) -> Record: ...

    @property
    def reader(self) -> StreamReader:
        """The generation that is read now."""
        return self._reader

    def statistics(self) -> FollowerStatistics:
        """How far this follower is, and how far the writer."""
        ring = self._reader.statistics()
        seen = ring.first_nanos if self.last_nanos is None else self.last_nanos
        behind = 0 if seen is None or ring.last_nanos is None else ring.last_nanos - seen
        return FollowerStatistics(
            records=self.records,
            rows=self.rows,
            lag_records=max(0, ring.next_sequence - self.sequence),
            lag_secs=max(0, behind) / NANOS_PER_SEC,
            overruns=self._overruns,
            lost_records=self._lost_records,
            lost_rows=self._lost_rows,
        )

    # --- for

    def otherwise(self, event: BaseException | None) -> bool:
        """What to do where the core has no next record: whether to go on."""
        if event is None or isinstance(event, core.EndOfStreamError):
            return self._turned(died=False)
        if isinstance(event, core.NotYetWrittenError):
            return True
        if not isinstance(event, CORE_ERRORS):
            raise event
        error = self._reader.error(event)
        if isinstance(error, OverrunError):
            self._note_loss(error)
            return True
        if isinstance(error, WriterGoneError) and self._successor is not None:
            return self._turned(died=True)
        raise error from None

    def _turned(self, *, died: bool) -> bool:
        """Turn to the next generation; a dead writer's successor is waited for."""
        following = self._next_generation()
        if following is None and died:
            following = self._await_generation()
        if following is not None:
            self._turn_to(following)
        return following is not None

    def _await_generation(self) -> Path | None:
        begun = time.monotonic()
        while self._timeout is None or time.monotonic() - begun < self._timeout:
            time.sleep(_LOOK_SECS)
            following = self._next_generation()
            if following is not None:
                return following
        return None

    # --- async for

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        while True:
            await self._let_others()
            try:
                record = self._reader.read(self.sequence)
            except NotYetWrittenError:
                if not await self._wait():
                    raise StopAsyncIteration from None
            except OverrunError as error:
                self._note_loss(error)
            except (EndOfStreamError, WriterGoneError) as end:
                await self._go_on(end)
            else:
                self.note(record)
                return record

    async def _wait(self) -> bool:
        if self._waiter is None:
            self._waiter = self._reader.waiter()
        arrived = await self._waiter.wait(self.sequence, self._timeout)
        self._turn_ends = asyncio.get_running_loop().time() + _TURN_SECS
        return arrived

    async def _let_others(self) -> None:
        """Let other tasks run, now and then: a quick writer would keep this one going for ever."""
        now = asyncio.get_running_loop().time()
        if now >= self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = now + _TURN_SECS

    async def _go_on(self, end: EndOfStreamError | WriterGoneError) -> None:
        """Turn to the next generation, or end."""
        died = isinstance(end, WriterGoneError)
        if died and self._successor is None:
            raise end
        begun = time.monotonic()
        following = self._next_generation()
        while died and following is None and not self._is_late(begun):
            await asyncio.sleep(_LOOK_SECS)
            following = self._next_generation()
        if following is None:
            raise StopAsyncIteration
        self._turn_to(following)

    def _is_late(self, begun: float) -> bool:
        return self._timeout is not None and time.monotonic() - begun >= self._timeout

    # --- both

    def _note_loss(self, error: OverrunError) -> None:
        """Count what was lost; raise it to who did not ask to skip it."""
        self._overruns += 1
        error.lost_rows = lost = self._rows_lost(error)
        self._lost_records += error.lost_records
        self._lost_rows = None if lost < 0 or self._lost_rows is None else self._lost_rows + lost
        # Those that are lost now are not to be lost again with the next ones.
        row = None if lost < 0 or self.row is None else self.row + lost
        self.skip_to(error.resume_at, row)
        if not self._skip_lost:
            raise error

    def _rows_lost(self, error: OverrunError) -> int:
        """As the ring says, which remembers only its readers' last places; else by its own."""
        if error.lost_rows < 0 and self.row is not None:
            with suppress(StreamError):
                return self._reader.frame(error.resume_at)[3] - self.row
        return error.lost_rows

    def _next_generation(self) -> Path | None:
        return None if self._successor is None else self._successor(self._reader)

    def _turn_to(self, path: Path) -> None:
        self._reader, self._waiter = type(self._reader).open(path), None
        self.turn_to(self._reader.native(), self._reader.layout)
