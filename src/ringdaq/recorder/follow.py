"""Reads one generation of a stream out of its ring, record by record, and declares what is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ringdaq.errors import CorruptRecordError, NotYetWrittenError, OverrunError, StreamError
from ringdaq.recorder.accounts import Account
from ringdaq.recorder.description import Source
from ringdaq.recorder.entries import Body, RecordEntry
from ringdaq.streams import StreamReader

LAPPED = "lapped"
CORRUPT = "corrupt record"
UNACCOUNTED = "rows of lost records"
RING_GONE = "ring gone"


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
        # A corrupt record does not tell its rows; they are found out from the ring's own count.
        self._suspect = False

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

    def writer_gone(self) -> bool:
        """Whether nothing more can come."""
        reader = self._attach()
        if reader is None:
            return True
        statistics = reader.statistics()
        return statistics.closed or not statistics.writer_alive

    def produced_rows(self, account: Account) -> int:
        """Rows the stream has produced since the recording's start, as far as can be known."""
        if self.source.produced_rows is not None:
            return self.source.produced_rows
        reader = self._attach()
        if reader is None:
            return account.next_row
        return max(account.next_row, int(reader.statistics().rows) - self.source.start_rows)

    def finished(self, account: Account) -> bool:
        """Whether the books have reached the source's end."""
        end = self.source.end_sequence
        return end is not None and account.next_sequence >= end

    def freeze(self, account: Account) -> None:
        """Let the source end here: with what its ring holds now."""
        reader = self._attach()
        end, rows = account.next_sequence, account.next_row
        if reader is not None:
            statistics = reader.statistics()
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
        reader = self._attach()
        if reader is None:
            self._declare_rest(drained)
            return drained
        self.settle(account)
        statistics = reader.statistics()
        stop = statistics.next_sequence
        if self.source.end_sequence is not None:
            stop = min(stop, self.source.end_sequence)
        self._read(reader, drained, stop, limit_bytes)
        if self.finished(drained.account):
            self._reconcile(drained, self.source.produced_rows)
        elif self._suspect and drained.account.next_sequence == statistics.next_sequence:
            self._reconcile(drained, statistics.rows - self.source.start_rows)
            self._suspect = False
        return drained

    def _read(self, reader: StreamReader, drained: Drained, stop: int, limit_bytes: int) -> None:
        account, taken = drained.account, 0
        while account.next_sequence < stop:
            if taken >= limit_bytes:
                drained.full = True
                return
            try:
                record = reader.read(account.next_sequence)
            except OverrunError as error:
                self._lose_lapped(drained, error)
                continue
            except NotYetWrittenError:
                return
            except CorruptRecordError:
                self._suspect = True
                self._lose(drained, account.next_sequence + 1, 0, CORRUPT)
                continue
            drained.bodies.append(
                RecordEntry(
                    self.index,
                    record.sequence,
                    account.next_row,
                    record.rows,
                    record.first_nanos,
                    record.last_nanos,
                    record.payload,
                )
            )
            account.add_record(record.rows)
            taken += len(record.payload)

    def _lose(self, drained: Drained, resume_at: int, rows: int, reason: str) -> None:
        records = resume_at - drained.account.next_sequence
        gap = drained.account.gap(self.index, records, rows, reason)
        drained.account.add_gap(gap)
        drained.bodies.append(gap)

    def _lose_lapped(self, drained: Drained, error: OverrunError) -> None:
        end, produced = self.source.end_sequence, self.source.produced_rows
        if end is not None and produced is not None and error.resume_at >= end:
            self._lose(drained, end, produced - drained.account.next_row, LAPPED)
        else:
            self._lose(drained, error.resume_at, error.lost_rows, LAPPED)

    def _reconcile(self, drained: Drained, produced_rows: int | None) -> None:
        """Declare rows that the ring counted and nobody has seen: those of corrupt records."""
        if produced_rows is None:
            return
        missing = produced_rows - drained.account.next_row
        if missing > 0:
            self._lose(drained, drained.account.next_sequence, missing, UNACCOUNTED)

    def _declare_rest(self, drained: Drained) -> None:
        """The ring is gone: all that was not read is lost, as far as its extent is known."""
        end = self.source.end_sequence
        produced = self.source.produced_rows
        if end is None or produced is None:
            return
        rows = produced - drained.account.next_row
        if end > drained.account.next_sequence or rows > 0:
            self._lose(drained, max(end, drained.account.next_sequence), max(rows, 0), RING_GONE)

    def close(self) -> None:
        """Let go of the ring."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
