"""The books of a recording: what each stream produced, what of it is kept, what is lost."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from ringdaq.recorder.description import Source, parse_source
from ringdaq.recorder.entries import (
    Body,
    Checkpoint,
    End,
    GapEntry,
    Manifest,
    RecordsEntry,
    StreamOpened,
)

DAMAGED = "damaged journal"


@dataclass(slots=True)
class Account:
    """One generation's books; `next_row` is always `rows` + `gap_rows`."""

    next_sequence: int
    """The record that comes next; all before it are kept or declared lost."""
    records: int = 0
    rows: int = 0
    gaps: int = 0
    gap_records: int = 0
    gap_rows: int = 0

    @property
    def next_row(self) -> int:
        """Rows accounted for, counted from the recording's start."""
        return self.rows + self.gap_rows

    def add_records(self, records: int, rows: int) -> None:
        """Enter the records that come next."""
        self.next_sequence += records
        self.records += records
        self.rows += rows

    def add_gap(self, gap: GapEntry) -> None:
        """Enter a loss that begins where the books end."""
        self.next_sequence += gap.records
        self.gaps += 1
        self.gap_records += gap.records
        self.gap_rows += gap.rows

    def gap(self, stream: int, records: int, rows: int, reason: str) -> GapEntry:
        """A loss that begins where the books end."""
        return GapEntry(stream, self.next_sequence, records, self.next_row, rows, reason)

    def copy(self) -> Account:
        """The same books, to be written on separately."""
        return Account(
            self.next_sequence, self.records, self.rows, self.gaps, self.gap_records, self.gap_rows
        )

    def to_plain(self) -> dict[str, int]:
        """As plain numbers, for a checkpoint."""
        return asdict(self)


@dataclass(slots=True)
class Ledger:
    """Everything a journal says, kept up to date entry by entry."""

    description: Mapping[str, Any] = field(default_factory=dict)
    streams: dict[int, StreamOpened] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None
    checked: bool = False
    """The accounts hold: a checkpoint was taken over, or the journal is read from its beginning."""

    def take(self, body: Body) -> list[Body]:
        """Enter what comes next in the journal.

        Returns it as it counts: a loss that the journal itself does not declare, because its
        entries are damaged, is put before it, and so is a stream; a record that was entered
        already is left out.
        """
        if isinstance(body, RecordsEntry | GapEntry):
            return self._take_counted(body)
        if isinstance(body, Checkpoint):
            return [*self._take_checkpoint(body), body]
        if isinstance(body, End):
            self.end = body.end
            return [*self._take_ends(), body]
        if isinstance(body, Manifest):
            self.description = body.description
        elif isinstance(body, StreamOpened):
            self._open(body)
        return [body]

    def _open(self, opened: StreamOpened) -> None:
        self.streams[opened.index] = opened
        self.accounts.setdefault(opened.index, Account(opened.start_sequence))

    def _take_counted(self, body: RecordsEntry | GapEntry) -> list[Body]:
        opened = self._open_described() if body.stream not in self.streams else []
        account = self.accounts.get(body.stream)
        if body.stream not in self.streams or account is None:
            return opened  # nothing is left that names the stream
        if isinstance(body, GapEntry):
            return [*opened, *_enter(account, body, body.first_sequence)]
        new = _not_entered(body, account.next_sequence)
        if new is None:
            return opened
        if new.codec and not self.streams[body.stream].schema_ipc:
            return opened  # nothing is left that unpacks it; what comes next makes it a gap
        return [*opened, *_enter(account, new, new.sequence)]

    # --- what the journal lacks

    def _open_described(self) -> list[Body]:
        """Open the streams that are described and were not named: those entries are damaged.

        A recorder numbers the streams in the order in which they are described.
        """
        known = {opened.generation for opened in self.streams.values()}
        missing = [s for s in _described(self.description) if s.generation not in known]
        found: list[Body] = []
        for index, source in zip(free_indices(self.streams), missing, strict=False):
            opened = StreamOpened(index, source.generation, source.spec, source.start_sequence)
            self._open(opened)
            found.append(opened)
        return found

    def _take_checkpoint(self, body: Checkpoint) -> list[Body]:
        opened = [] if body.accounts.keys() <= self.streams.keys() else self._open_described()
        told = {index: Account(**plain) for index, plain in body.accounts.items()}
        if not self.checked:
            self.checked = True
            self.accounts |= told
            return opened
        gaps = [self._lose_to(i, a.next_sequence, a.next_row) for i, a in told.items()]
        return [*opened, *filter(None, gaps)]

    def _take_ends(self) -> list[Body]:
        """Compare the books with where the description says that each stream ended."""
        opened = self._open_described()
        ends = {source.generation: source for source in _described(self.description)}
        gaps = [
            self._lose_to(index, source.end_sequence, source.produced_rows or 0)
            for index, stream in self.streams.items()
            if (source := ends.get(stream.generation)) and source.end_sequence is not None
        ]
        return [*opened, *filter(None, gaps)]

    def _lose_to(self, index: int, sequence: int, row: int) -> GapEntry | None:
        """Enter what the books lack up to a record and a row; `None` where they lack nothing."""
        account = self.accounts.get(index)
        if index not in self.streams or account is None or account.next_sequence >= sequence:
            return None
        records, rows = sequence - account.next_sequence, max(0, row - account.next_row)
        gap = account.gap(index, records, rows, DAMAGED)
        account.add_gap(gap)
        return gap

    def preamble(self) -> list[Body]:
        """What a new segment begins with, so that it can be read without the older ones."""
        return [Manifest(self.description), *self.streams.values(), checkpoint(self.accounts)]


def checkpoint(accounts: Mapping[int, Account]) -> Checkpoint:
    """Where each stream stands, for the journal."""
    return Checkpoint({index: account.to_plain() for index, account in accounts.items()})


def free_indices(streams: Container[int]) -> Iterator[int]:
    """The numbers that no stream of a journal has yet."""
    return (index for index in count() if index not in streams)


def _described(description: Mapping[str, Any]) -> Iterator[Source]:
    return map(parse_source, description.get("streams") or ())


def _not_entered(body: RecordsEntry, next_sequence: int) -> RecordsEntry | None:
    """Those of the records that come next or later."""
    skip = next_sequence - body.sequence
    if skip <= 0:
        return body
    return body.part(skip, body.records) if skip < body.records else None


def _enter(account: Account, body: RecordsEntry | GapEntry, sequence: int) -> list[Body]:
    """Enter records or a gap, and before them what is missing."""
    records, rows = sequence - account.next_sequence, body.first_row - account.next_row
    if records < 0 or rows < 0:
        return []
    taken: list[Body] = [body]
    if records or rows:
        missing = account.gap(body.stream, records, rows, DAMAGED)
        account.add_gap(missing)
        taken.insert(0, missing)
    if isinstance(body, RecordsEntry):
        account.add_records(body.records, body.rows)
    else:
        account.add_gap(body)
    return taken
