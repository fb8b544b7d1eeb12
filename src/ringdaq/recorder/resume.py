"""Where a journal stands, so that a recorder can go on with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.scan import Damage, JournalReader


@dataclass(frozen=True, slots=True)
class Resumed:
    """A journal's books, and the number its next entry gets."""

    ledger: Ledger
    next_entry: int
    damage: list[Damage]
    """What was come across in the segments that had to be read."""


def resume(directory: Path) -> Resumed | None:
    """Read as few segments as give the books, the last one as a rule; `None` without a journal.

    A torn tail is cut off, and what is left is synced, before it counts as durable.
    """
    reader = JournalReader(directory)
    headers = reader.headers()
    for place in range(len(headers) - 1, -1, -1):
        found = _read(reader, headers[place][1].first_entry)
        if found is not None:
            _settle(headers[-1][0], reader.damage)
            return found
    return None


def _read(reader: JournalReader, start: int) -> Resumed | None:
    ledger = Ledger(checked=start == 0)
    number = start - 1
    for entry in reader.entries(start):
        ledger.take(entry.body)
        number = entry.number
    if not ledger.checked or not ledger.description:
        return None
    return Resumed(ledger, number + 1, reader.damage)


def _settle(last: Path, damage: list[Damage]) -> None:
    """Cut a torn tail off the last segment and make the rest durable."""
    fd = os.open(last, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for torn in damage:
            if torn.path == last and torn.at_end:
                os.ftruncate(fd, torn.start)
        os.fsync(fd)
    finally:
        os.close(fd)
