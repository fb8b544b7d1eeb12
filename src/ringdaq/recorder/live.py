"""The HDF5 file of one recording while it grows.

What was tried: files in SWMR mode or of `libver="latest"` cannot be opened by a plain reader after
a kill; a new group each flush can cost the whole file when the kill comes at the wrong moment.
So: the oldest format, the whole tree made before the first flush, appendable datasets, one flush a
second, attributes rewritten in place, and a lock that keeps others from writing.
The file is made under another name and put in its place whole.
It holds what its journal says and nothing else, so it can always be made anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.model import StreamSpec
from ringdaq.recorder import hdf5, tree
from ringdaq.recorder.accounts import Account, Ledger
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.entries import Body, GapEntry, Manifest, RecordsEntry, StreamOpened
from ringdaq.recorder.group import StreamGroup
from ringdaq.recorder.ordered import OrderedFile
from ringdaq.recorder.packing import unpack
from ringdaq.recorder.plot import DefaultPlot
from ringdaq.recorder.storage import Storage
from ringdaq.recorder.tables import Counters, GapRow, GapTable, LossTable

NX_CLASSES = {"rows": "NXlog", "samples": "NXdata", "frames": "NXdata"}
DRAFT_SUFFIX = ".draft"


class LiveFile:
    """Takes what the journal holds, entry by entry, and keeps the HDF5 file up to it."""

    def __init__(
        self, path: Path, description: Mapping[str, Any], disk: Disk | None = None
    ) -> None:
        """Begin a new file beside `path`; `publish` puts it there."""
        self.path = path
        self.next_entry = 0
        """The number of the journal's entry that comes next."""
        self.ledger = Ledger(checked=True)
        self.groups: dict[str, StreamGroup] = {}
        self.published = False
        self._finished = False
        self._draft = path.with_name(f".{path.name}{DRAFT_SUFFIX}")
        self._last_nanos = 0
        self._run_stream = f"run.{description.get('run_id')}"
        self._of_index: dict[int, StreamGroup] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        h5py = hdf5.h5py_module()
        self._disk = disk or Disk()
        self._bytes = OrderedFile(self._draft, self._disk)
        self._storage = Storage.of(description)
        self._file = h5py.File(
            self._draft,
            "w",
            driver="fileobj",
            fileobj=self._bytes,
            fs_strategy=self._storage.space_strategy,
            rdcc_nbytes=self._storage.chunk_cache_bytes,
        )
        self._entry = tree.build_root(self._file, path, description)
        self._gaps = GapTable(self._entry)
        self._loss = LossTable(self._entry)
        self._plot = DefaultPlot(self._entry, _capabilities(description))

    # --- what the journal holds

    def take(self, body: Body) -> None:
        """Take the journal's next entry; it reaches the disk with the next `flush`."""
        self.next_entry += 1
        for counted in self.ledger.take(body):
            if isinstance(counted, RecordsEntry):
                self._take_records(counted)
            elif isinstance(counted, GapEntry):
                self._take_gap(counted)
            elif isinstance(counted, StreamOpened):
                self._open_stream(counted)
            elif isinstance(counted, Manifest):
                self._add_instruments(counted.description)
                tree.add_pipelines(self._entry, counted.description)
        self._bytes.check()

    def _take_records(self, records: RecordsEntry) -> None:
        opened = self.ledger.streams[records.stream]
        records = unpack(records, opened.schema_ipc)
        self._of_index[records.stream].add(records, opened.spec)
        self._last_nanos = max(self._last_nanos, records.last_nanos)

    def _take_gap(self, gap: GapEntry) -> None:
        opened = self.ledger.streams[gap.stream]
        self._gaps.add(
            GapRow(
                stream=opened.spec.name,
                generation=opened.generation,
                row=self._of_index[gap.stream].taken_rows,
                first_sequence=gap.first_sequence,
                records=gap.records,
                rows=gap.rows,
                reason=gap.reason,
            )
        )

    def _open_stream(self, opened: StreamOpened) -> None:
        if opened.index in self._of_index:
            return
        spec = opened.spec
        group = next(
            (g for g in self.groups.values() if g.spec.name == spec.name and g.fits(spec)), None
        )
        if group is None:
            group = self._make_group(spec)
        else:
            group.write()
            group.add_generation(spec)
        self._of_index[opened.index] = group

    def _make_group(self, spec: StreamSpec) -> StreamGroup:
        if spec.name == self._run_stream and tree.EVENTS not in self.groups:
            name, made = tree.EVENTS, self._entry[tree.EVENTS]
        else:
            name = hdf5.link_name(spec.name, self._entry)
            made = hdf5.group(self._entry, name, NX_CLASSES[spec.kind])
        group = StreamGroup(made, spec, self._storage)
        self.groups[name] = group
        column = next(iter(group.columns.values())).dataset.name
        tree.link_stream(self._entry, spec, column)
        if spec.kind == "rows" and len(spec.channels) == 1 and "value" not in group.group:
            group.group["value"] = hdf5.h5py_module().SoftLink(column)
        return group

    def _add_instruments(self, description: Mapping[str, Any]) -> None:
        for instrument in description.get("instruments") or ():
            if tree.instrument_group(self._entry, str(instrument["name"])) is None:
                tree.build_instrument(self._entry["instrument"], instrument)

    def group_of(self, index: int) -> StreamGroup:
        """Where the journal's stream `index` is written."""
        return self._of_index[index]

    # --- what is on the disk

    def counters(self) -> dict[str, Counters]:
        """What each stream's generations add up to, by the stream's name."""
        return counters_of(self.ledger)

    def flush(self) -> None:
        """Hand everything taken to the operating system; a plain reader sees it from then on.

        The counters are flushed after the rows, so they never promise what is not there.
        """
        for group in self.groups.values():
            group.write()
        self._gaps.write()
        self._plot.choose(list(self.groups.values()))
        self._plot.write()
        self._commit()
        self._count()
        self._commit()

    def _commit(self) -> None:
        self._file.flush()
        self._bytes.commit()

    def _count(self) -> None:
        self._loss.write(self.counters())
        for group in self.groups.values():
            accounts = [
                self.ledger.accounts[i] for i, one in self._of_index.items() if one is group
            ]
            group.count(added_up(accounts))
        if self._last_nanos and self.ledger.end is None:
            self._entry["end_time"][()] = np.bytes_(hdf5.iso_time(self._last_nanos))

    def publish(self) -> None:
        """Put the file in its place, whole."""
        self.flush()
        self._disk.rename(self._draft, self.path)
        self.published = True

    def finish(self) -> None:
        """Write what the journal's last entry says: state, error, settings, end time.

        May be called again when the disk did not take it.
        """
        if not self._finished:
            self.flush()
            self._plot.finish()
            tree.finish(self._entry, self.ledger.end or {"state": "interrupted"})
            self._finished = True
        self._commit()

    def seal(self) -> None:
        """Mark the file as complete and checked, and bring it to the medium."""
        hdf5.put(self._entry, "sealed", True)
        self._commit()
        self._bytes.sync()
        if not self.published:
            self.publish()
        self.close()
        self._disk.sync_directory(self.path.parent)

    def close(self) -> None:
        """Let go of the file; a draft that was never published is removed."""
        self._bytes.be_deaf()
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._file.close()
        self._bytes.close()
        if not self.published:
            with contextlib.suppress(OSError):
                self._disk.remove(self._draft)


def _capabilities(description: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        str(one["name"]): tuple(one.get("capabilities") or ())
        for one in description.get("instruments") or ()
    }


def counters_of(ledger: Ledger) -> dict[str, Counters]:
    """The books of all generations, added up by the stream's name."""
    found: dict[str, list[Account]] = {}
    for index, account in ledger.accounts.items():
        if index in ledger.streams:
            found.setdefault(ledger.streams[index].spec.name, []).append(account)
    return {name: added_up(accounts) for name, accounts in found.items()}


def added_up(accounts: Sequence[Account]) -> Counters:
    """The books of some generations as one."""
    return Counters(
        produced_rows=sum(account.next_row for account in accounts),
        durable_rows=sum(account.rows for account in accounts),
        durable_records=sum(account.records for account in accounts),
        gap_rows=sum(account.gap_rows for account in accounts),
        gap_records=sum(account.gap_records for account in accounts),
        gaps=sum(account.gaps for account in accounts),
    )
