"""Where a journal stands, so that a recorder can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.journal import segment_paths
from ringdaq.recorder.scan import Damage, JournalReader


@dataclass(frozen=True, slots=True)
class Resumed:
    """A journal's books, and the number its next entry gets."""

    ledger: Ledger
    next_entry: int
    damage: list[Damage]
    """What was come across in the segments that had to be read."""


def resume(
    directory: Path, disk: Disk | None = None, described: Mapping[str, Any] | None = None
) -> Resumed | None:
    """Read as few segments as give the books, the last one as a rule; `None` without a journal.

    `described` is what the recording should be, for a journal that is damaged where it says so.
    A torn tail is cut off, and what is left is synced, before it counts as durable.
    """
    disk = disk or Disk()
    paths = segment_paths(directory)
    if paths:
        _settle(paths[-1], disk)
    for count in range(1, len(paths) + 1):
        reader = JournalReader(directory, newest=count)
        headers = reader.headers()
        known = described if count == len(paths) else None
        found = _read(reader, headers[0][1].first_entry, known or {}) if headers else None
        if found is not None:
            _cut(paths[-1], reader.damage, disk)
            return found
    return None


def _read(reader: JournalReader, start: int, described: Mapping[str, Any]) -> Resumed | None:
    ledger = Ledger(described, checked=start == 0)
    number = start - 1
    for entry in reader.entries(start):
        ledger.take(entry.body)
        number = entry.number
    if not ledger.checked or not ledger.description or number < start:
        return None
    return Resumed(ledger, number + 1, reader.damage)


def _settle(last: Path, disk: Disk) -> None:
    """Make the last segment durable, then see to it that reading tells what the medium holds."""
    fd = disk.open(last)
    try:
        disk.sync(fd)
        disk.distrust(fd)
    finally:
        disk.close(fd)


def _cut(last: Path, damage: list[Damage], disk: Disk) -> None:
    """Cut a torn tail off the last segment."""
    torn = next((d for d in damage if d.path == last and d.at_end), None)
    if torn is None:
        return
    fd = disk.open(last)
    try:
        disk.truncate(fd, torn.start)
        disk.sync(fd)
    finally:
        disk.close(fd)
