"""The books of a recording: what each stream produced, what of it is kept, what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ringdaq.recorder.entries import (
    Body,
    Checkpoint,
    End,
    GapEntry,
    Manifest,
    RecordEntry,
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

    def add_record(self, rows: int) -> None:
        """Enter the record that comes next."""
        self.next_sequence += 1
        self.records += 1
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
        return replace(self)

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
        if isinstance(body, RecordEntry):
            account = self.accounts.get(body.stream)
            if account is None:
                return []  # the entry that names the stream is damaged
            if body.sequence == account.next_sequence and body.first_row == account.next_row:
                account.add_record(body.rows)
                return [body]
        if isinstance(body, RecordEntry | GapEntry):
            return self._take_after_damage(body)
        self._take_other(body)
        return [body]

    def _take_after_damage(self, body: RecordEntry | GapEntry) -> list[Body]:
        account = self.accounts.get(body.stream)
        if account is None:
            return []
        sequence = body.sequence if isinstance(body, RecordEntry) else body.first_sequence
        records, rows = sequence - account.next_sequence, body.first_row - account.next_row
        if records < 0 or rows < 0:
            return []
        taken: list[Body] = [body]
        if records or rows:
            missing = account.gap(body.stream, records, rows, DAMAGED)
            account.add_gap(missing)
            taken.insert(0, missing)
        if isinstance(body, RecordEntry):
            account.add_record(body.rows)
        else:
            account.add_gap(body)
        return taken

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
