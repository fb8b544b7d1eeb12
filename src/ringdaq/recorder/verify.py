"""Compares an HDF5 file with its journal, value by value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ringdaq.errors import RecordingError
from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.entries import RecordsEntry
from ringdaq.recorder.group import StreamGroup
from ringdaq.recorder.live import LiveFile
from ringdaq.recorder.packing import unpack
from ringdaq.recorder.scan import JournalReader

PIECE_BYTES = 4 << 20


@dataclass(slots=True)
class _Run:
    """Records of one generation that follow each other, waiting to be compared."""

    group: StreamGroup
    start: int
    records: list[RecordsEntry] = field(default_factory=list)
    bytes: int = 0


def verify(live: LiveFile, journal: JournalReader) -> Iterator[None]:
    """Compare in small steps, so that other work can be done between; raises `RecordingError`."""
    ledger = Ledger(checked=True)
    written = dict.fromkeys(live.groups, 0)
    names = {id(group): name for name, group in live.groups.items()}
    run: dict[int, _Run] = {}
    for entry in journal.entries():
        for body in ledger.take(entry.body):
            if not isinstance(body, RecordsEntry):
                continue
            group = live.group_of(body.stream)
            waiting = run.setdefault(id(group), _Run(group, 0))
            if waiting.records and waiting.records[-1].stream != body.stream:
                _compare(waiting, ledger)
            body = unpack(body, ledger.streams[body.stream].schema_ipc)
            waiting.records.append(body)
            waiting.bytes += len(body.payloads)
            written[names[id(group)]] += body.rows
            if waiting.bytes >= PIECE_BYTES:
                _compare(waiting, ledger)
        yield
    for waiting in run.values():
        _compare(waiting, ledger)
    for name, rows in written.items():
        _check_rows(name, rows, live.groups[name])


def _compare(run: _Run, ledger: Ledger) -> None:
    if not run.records:
        return
    spec = ledger.streams[run.records[0].stream].spec
    if not run.group.holds(run.start, spec, run.records):
        raise RecordingError(
            f"the stream {spec.name!r} differs from its journal in the rows from {run.start} on"
        )
    run.start += sum(entry.rows for entry in run.records)
    run.records, run.bytes = [], 0


def _check_rows(name: str, rows: int, group: StreamGroup) -> None:
    held = group.length()
    if held != rows:
        raise RecordingError(f"{name!r} should have {rows} rows, as its journal; found {held}")
