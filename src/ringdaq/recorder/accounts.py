"""The books of a recording: what each stream produced, what of it is kept, what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
        entries are damaged, is put before it; a record that was entered already is left out.
        """
        if not isinstance(body, RecordsEntry | GapEntry):
            self._take_other(body)
            return [body]
        account = self.accounts.get(body.stream)
        if account is None:
            return []  # the entry that names the stream is damaged
        if isinstance(body, RecordsEntry):
            new = _not_entered(body, account.next_sequence)
            return [] if new is None else _enter(account, new, new.sequence)
        return _enter(account, body, body.first_sequence)

    def _take_other(self, body: Body) -> None:
        if isinstance(body, Manifest):
            self.description = body.description
        elif isinstance(body, StreamOpened):
            self.streams[body.index] = body
            self.accounts.setdefault(body.index, Account(body.start_sequence))
        elif isinstance(body, End):
            self.end = body.end
        elif isinstance(body, Checkpoint) and not self.checked:
            self.checked = True
            for index, plain in body.accounts.items():
                self.accounts[index] = Account(**plain)

    def preamble(self) -> list[Body]:
        """What a new segment begins with, so that it can be read without the older ones."""
        accounts = {index: account.to_plain() for index, account in self.accounts.items()}
        return [Manifest(self.description), *self.streams.values(), Checkpoint(accounts)]


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
