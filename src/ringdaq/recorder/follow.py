"""Reads one generation of a stream out of its ring, record by record, and declares what is lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from ringdaq.errors import CorruptRecordError, OverrunError, StreamError
from ringdaq.recorder.accounts import Account
from ringdaq.recorder.description import Source
from ringdaq.recorder.entries import Body, RecordsEntry
from ringdaq.recorder.native import Watch
from ringdaq.streams import RingStatistics, StreamReader

log = logging.getLogger(__name__)

# A damaged entry of a journal costs no more than this, or one record that is larger.
PIECE_BYTES = 32 << 10
LAPPED = "lapped"
CORRUPT = "corrupt record"
RING_GONE = "ring gone"
RING_GONE_UNMEASURED = "ring gone; nobody knows how much it held"


@dataclass(slots=True)
class Drained:
    """What one visit to a ring brought."""

    bodies: list[Body]
    account: Account
    """The books after it."""
    full: bool = False
    """The limit was reached; there may be more at once."""


class RingFollower:
    """Follows one source from wherever the books stand to its end."""

    def __init__(self, index: int, source: Source) -> None:
        self.index = index
        self.source = source
        self._reader: StreamReader | None = None
        self._gone = False
        self._watch: Watch | None = None
        self._unwatchable = False
        # If the ring went before its end was known: how many gaps there were until then.
        self._unmeasured: int | None = None

    @property
    def schema_ipc(self) -> bytes:
        """The Arrow schema message; empty when the ring is gone."""
        reader = self._attach()
        return b"" if reader is None else reader.schema_ipc

    def _attach(self) -> StreamReader | None:
        if self._reader is None and not self._gone:
            try:
                reader = StreamReader.open(self.source.path)
            except (StreamError, OSError):
                self._gone = True
                return None
            if reader.generation != self.source.generation:
                reader.close()
                self._gone = True
                return None
            self._reader = reader
        return self._reader

    def _statistics(self) -> RingStatistics | None:
        """The ring's counters; `None` when the ring is gone, or too damaged to be followed."""
        reader = self._attach()
        try:
            return None if reader is None else reader.statistics()
        except CorruptRecordError as error:
            self._leave(error)
            return None

    def _next_sequence(self) -> int | None:
        """The record that comes next, which is quicker than all counters; `None` as there."""
        reader = self._attach()
        try:
            return None if reader is None else reader.checked_next_sequence()
        except CorruptRecordError as error:
            self._leave(error)
            return None

    def _leave(self, error: CorruptRecordError) -> None:
        log.error("the ring cannot be followed any more: %s: %s", error, self.source.path)
        self._gone = True
        self.close()

    def watch(self) -> Watch | None:
        """What tells of the ring's next record; `None` if there may be none."""
        if self.source.end_sequence is not None or self.writer_gone() or self._reader is None:
            return None
        if self._watch is None and not self._unwatchable:
            try:
                self._watch = self._reader.watch()
            except OSError as error:
                self._unwatchable = True
                log.warning(
                    "rows are looked for now and then only: %s: %s", error, self.source.path
                )
        return self._watch

    def writer_gone(self) -> bool:
        """Whether nothing more can come."""
        statistics = self._statistics()
        return statistics is None or statistics.closed or not statistics.writer_alive

    def produced_rows(self, account: Account) -> int:
        """Rows the stream has produced since the recording's start, as far as can be known."""
        if self.source.produced_rows is not None:
            return self.source.produced_rows
        statistics = self._statistics()
        if statistics is None:
            return account.next_row
        return max(account.next_row, statistics.rows - self.source.start_rows)

    def finished(self, account: Account) -> bool:
        """Whether the books have reached the source's end."""
        end = self.source.end_sequence
        return end is not None and account.next_sequence >= end and account.gaps != self._unmeasured

    def freeze(self, account: Account) -> None:
        """Let the source end here: with what its ring holds now."""
        statistics = self._statistics()
        end, rows = account.next_sequence, account.next_row
        if statistics is None:
            self._unmeasured = account.gaps
        else:
            end = max(end, statistics.next_sequence)
            rows = max(rows, statistics.rows - self.source.start_rows)
        self.source = replace(self.source, end_sequence=end, end_rows=self.source.start_rows + rows)

    def settle(self, account: Account) -> None:
        """Move an end that was passed before it became known to where the books stand."""
        end = self.source.end_sequence
        if end is not None and account.next_sequence > end:
            rows = self.source.start_rows + account.next_row
            self.source = replace(self.source, end_sequence=account.next_sequence, end_rows=rows)

    def drain(self, account: Account, limit_bytes: int) -> Drained:
        """Read what has come since the books were written, at most about `limit_bytes`."""
        drained = Drained([], account.copy())
        self._declare_missed(drained)
        self.settle(account)
        reader, stop = self._attach(), self._next_sequence()
        if reader is None or stop is None:
            self._declare_rest(drained)
            return drained
        end = self.source.end_sequence
        self._read(reader, drained, stop if end is None else min(stop, end), limit_bytes)
        return drained

    def _read(self, reader: StreamReader, drained: Drained, stop: int, limit_bytes: int) -> None:
        account, taken, reason = drained.account, 0, LAPPED
        sequence = account.next_sequence
        while sequence < stop:
            if taken >= limit_bytes:
                drained.full = True
                return
            try:
                frames, before, rows, payloads = reader.copy_many(sequence, stop, PIECE_BYTES)
            except OverrunError as error:
                sequence, reason = error.resume_at, LAPPED
                continue
            except CorruptRecordError:
                sequence, reason = sequence + 1, CORRUPT
                continue
            first_row = before - self.source.start_rows
            if sequence > account.next_sequence:
                self._lose(drained, sequence, first_row, reason)
            drained.bodies.append(RecordsEntry(self.index, sequence, first_row, frames, payloads))
            account.add_records(len(frames), rows)
            taken += len(payloads)
            sequence += len(frames)
        if sequence > account.next_sequence:
            self._lose_to_end(drained, sequence, reason)

    def _declare_missed(self, drained: Drained) -> None:
        """Begin the books of a generation with what was lost between it and the one before."""
        account = drained.account
        if self.source.missed and not account.records and not account.gaps:
            self._lose(drained, account.next_sequence, -self.source.start_rows, self.source.missed)

    def _lose(self, drained: Drained, sequence: int, row: int, reason: str) -> None:
        """Declare everything before a record and a row as lost."""
        account = drained.account
        gap = account.gap(
            self.index, sequence - account.next_sequence, row - account.next_row, reason
        )
        account.add_gap(gap)
        drained.bodies.append(gap)

    def _lose_to_end(self, drained: Drained, sequence: int, reason: str) -> None:
        """Nothing whole follows the loss: it is declared once it is known to reach the end.

        Before that its rows are not known; the next record will tell them.
        """
        end, produced = self.source.end_sequence, self.source.produced_rows
        if end is not None and produced is not None and sequence >= end:
            self._lose(drained, end, produced, reason)

    def _declare_rest(self, drained: Drained) -> None:
        """The ring is gone: all that was not read is lost, as far as its extent is known."""
        end, produced = self.source.end_sequence, self.source.produced_rows
        if end is not None and produced is not None and end > drained.account.next_sequence:
            self._lose(drained, end, produced, RING_GONE)
        elif drained.account.gaps == self._unmeasured:
            account = drained.account
            self._lose(drained, account.next_sequence, account.next_row, RING_GONE_UNMEASURED)

    def close(self) -> None:
        """Let go of the ring."""
        self._watch = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
