"""Reading on and on, in a loop or in a coroutine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.errors import (
    EndOfStreamError,
    NotYetWrittenError,
    OverrunError,
    StreamError,
    WriterGoneError,
)
from ringdaq.streams.record import CopiedRecord, Frame, Record
from ringdaq.streams.waiting import Waiter

if TYPE_CHECKING:
    from typing import Self

    from ringdaq.streams.reader import StreamReader

Successor = Callable[["StreamReader"], "Path | None"]
"""The generation after the one of a reader, if there is one by now."""
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


class Following:
    """Records from one on, for `for` and for `async for`; into later generations if there are any.

    Nothing is lost when it is given up between two records, or cancelled while it waits: whoever
    iterates on gets the next one. After an `OverrunError` it goes on with the oldest one left.
    """

    def __init__(
        self,
        reader: StreamReader,
        sequence: int,
        *,
        timeout: float | None,
        skip_lost: bool = False,
        successor: Successor | None = None,
    ) -> None:
        self._reader = reader
        self._sequence = sequence
        self._timeout = timeout
        self._skip_lost = skip_lost
        self._successor = successor
        self._waiter: Waiter | None = None
        self._walk: Iterator[Record] | None = None
        # Was given and is still to be noted: whoever was woken for it comes first.
        self._given: CopiedRecord | None = None
        self._turn_ends = 0.0
        # Of records that follow each other without a gap only the ends are noted: the first one's
        # sequence number and the rows before it, and the last one's frame.
        self._first: tuple[int, int] | None = None
        self._last: Frame | None = None
        self._last_nanos: int | None = None
        self._next_row: int | None = None
        self._records = self._rows = self._overruns = self._lost_records = 0
        self._lost_rows: int | None = 0

    @property
    def reader(self) -> StreamReader:
        """The generation that is read now."""
        return self._reader

    def statistics(self) -> FollowerStatistics:
        """How far this follower is, and how far the writer."""
        self._settle()
        self._add_up()
        ring = self._reader.statistics()
        seen = ring.first_nanos if self._last_nanos is None else self._last_nanos
        behind = 0 if seen is None or ring.last_nanos is None else ring.last_nanos - seen
        return FollowerStatistics(
            records=self._records,
            rows=self._rows,
            lag_records=max(0, ring.next_sequence - self._sequence),
            lag_secs=max(0, behind) / NANOS_PER_SEC,
            overruns=self._overruns,
            lost_records=self._lost_records,
            lost_rows=self._lost_rows,
        )

    # --- for

    def __iter__(self) -> Iterator[Record]:
        if self._walk is None:
            self._walk = self._sync()
        return self._walk

    def __next__(self) -> Record:
        return next(iter(self))

    def _sync(self) -> Iterator[Record]:
        try:
            while True:
                self._settle()
                died, record = False, CopiedRecord(self._reader.layout)
                try:
                    there = self._reader.next(self._sequence, self._timeout, record)
                except OverrunError as error:
                    self._note_loss(error)
                    continue
                except WriterGoneError:
                    if self._successor is None:
                        raise
                    died, there = True, False
                if there:
                    self._given = record
                    yield record
                elif not self._turned(died):
                    return
        finally:
            self._walk = None  # whoever iterates again, after an end or an error, goes on

    def _turned(self, died: bool) -> bool:
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
        self._settle()
        while True:
            await self._let_others()
            try:
                record = self._reader.read(self._sequence)
            except NotYetWrittenError:
                if not await self._wait():
                    raise StopAsyncIteration from None
            except OverrunError as error:
                self._note_loss(error)
            except (EndOfStreamError, WriterGoneError) as end:
                await self._go_on(end)
            else:
                self._given = record
                self._settle()
                return record

    async def _wait(self) -> bool:
        if self._waiter is None:
            self._waiter = self._reader.waiter()
        arrived = await self._waiter.wait(self._sequence, self._timeout)
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

    def _settle(self) -> None:
        record = self._given
        if record is None:
            return
        self._given = None
        self._sequence += 1
        self._last = record.frame
        if self._first is None:
            self._first = record.sequence, record.first_row

    def _add_up(self) -> None:
        """Count the records since the last gap; the next one begins anew."""
        if self._first is None or self._last is None:
            return
        (sequence, row), (rows, _, self._last_nanos, rows_before) = self._first, self._last
        self._first = self._last = None
        self._records += self._sequence - sequence
        self._next_row = rows_before + rows
        self._rows += self._next_row - row

    def _note_loss(self, error: OverrunError) -> None:
        """Count what was lost; raise it to who did not ask to skip it."""
        self._add_up()
        self._overruns += 1
        error.lost_rows = self._rows_lost(error)
        self._lost_records += error.lost_records
        known = error.lost_rows >= 0 and self._lost_rows is not None
        self._lost_rows = (self._lost_rows or 0) + error.lost_rows if known else None
        self._sequence = error.resume_at
        if not self._skip_lost:
            raise error

    def _rows_lost(self, error: OverrunError) -> int:
        """As the ring says, which remembers only its readers' last places; else by its own."""
        if error.lost_rows < 0 and self._next_row is not None:
            with suppress(StreamError):
                return self._reader.frame(error.resume_at)[3] - self._next_row
        return error.lost_rows

    def _next_generation(self) -> Path | None:
        return None if self._successor is None else self._successor(self._reader)

    def _turn_to(self, path: Path) -> None:
        self._add_up()
        self._reader, self._waiter = type(self._reader).open(path), None
        self._sequence = self._next_row = 0
