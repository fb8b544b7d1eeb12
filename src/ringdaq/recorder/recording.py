"""One recording: from its rings into its journal, and from the journal into its HDF5 file."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.recorder.accounts import Account, Ledger, checkpoint, free_indices
from ringdaq.recorder.behind import FileBehind
from ringdaq.recorder.description import Description, Source
from ringdaq.recorder.disk import Disk, QuickDisk
from ringdaq.recorder.entries import Body, End, Manifest, RecordsEntry, StreamOpened
from ringdaq.recorder.file import FileKeeper
from ringdaq.recorder.follow import RingFollower
from ringdaq.recorder.hdf5 import to_json
from ringdaq.recorder.journal import SEGMENT_BYTES, DirectoryLock, JournalWriter, NotDurableError
from ringdaq.recorder.live import counters_of
from ringdaq.recorder.native import Watch
from ringdaq.recorder.packing import pack
from ringdaq.recorder.resume import Resumed, resume
from ringdaq.recorder.seal import mark_sealed
from ringdaq.recorder.seams import begin_at, beginnings, ends

log = logging.getLogger(__name__)

BATCH_BYTES = 32 << 20
RETRY_SECS = 0.25
FRAMES = "frames"
WRITERS_GONE_SECS = 10.0


class Recording:
    """Call `step` again and again; what it has read is durable when it returns."""

    def __init__(
        self,
        description: Description,
        *,
        flush_secs: float = 1.0,
        keep_journal: bool = True,
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        behind: bool = False,
    ) -> None:
        """Go on with a journal, or begin one; its file is written here, or `behind`, by a thread.

        Raises `BlockingIOError` while another process writes it.
        """
        self.error = ""
        """What keeps rows from becoming durable now; empty while all is well."""
        self.state = "recording"
        """`recording`, then `sealed`, `failed`, or `left` to another recorder."""
        self._keep_journal = keep_journal
        self._disk = disk or QuickDisk()
        self._disk.make_directory(description.directory)
        self._lock = DirectoryLock(description.directory)
        try:
            directory, plain = description.directory, description.plain
            found = resume(directory, self._disk, plain) or Resumed(Ledger(checked=True), 0, [])
        except BaseException:
            self._lock.close()
            raise
        self.ledger = found.ledger
        self.description = begin_at(description, beginnings(self.ledger.description))
        self._begun = found.next_entry > 0
        self._followers: dict[int, RingFollower] = {}
        self._followed: Description | None = None
        """The description whose sources are all in the journal."""
        self._retry_at = 0.0
        self._interrupted_at: float | None = None
        self._journal = JournalWriter(
            description.directory,
            description.recording_id,
            self.ledger.preamble,
            next_entry=found.next_entry,
            segment_bytes=segment_bytes,
            disk=self._disk,
        )
        keeper = FileKeeper(self.description, flush_secs=flush_secs, disk=self._disk)
        self.file: FileKeeper | FileBehind = FileBehind(keeper) if behind else keeper
        if not self._begun:
            self.ledger.description = self.description.plain

    # --- what the daemon says

    def update(self, description: Description) -> None:
        """Take a newer description: more streams, ends, or the end of all.

        Where the streams began it says as the daemon does; what the journal says of that holds.
        """
        self.description = begin_at(description, beginnings(self.ledger.description))

    def interrupt(self) -> None:
        """Nobody describes this recording any more: end it when the rings' writers are gone."""
        if self._interrupted_at is None:
            self._interrupted_at = time.monotonic()

    def report(self) -> dict[str, Any]:
        """How the recording stands, as plain values."""
        ledger = self.file.sealed_ledger or self.ledger
        streams = {name: c.to_plain() for name, c in counters_of(ledger).items()}
        if self.state == "recording":
            for name, produced in self._produced().items():
                streams[name]["produced_rows"] = produced
        return {
            "recording_id": self.description.recording_id,
            "state": self.state,
            "file": str(self.description.file),
            "streams": streams,
            "error": self.trouble or None,
        }

    @property
    def trouble(self) -> str:
        """What keeps rows from the journal, or else from the file; empty while all is well."""
        return self.error or self.file.error

    def _produced(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for index, opened in self.ledger.streams.items():
            account = self.ledger.accounts[index]
            follower = self._followers.get(index)
            rows = account.next_row if follower is None else follower.produced_rows(account)
            found[opened.spec.name] = found.get(opened.spec.name, 0) + rows
        return found

    # --- work

    def awaited(self) -> list[tuple[Watch, int]]:
        """The rings' next records, as an `Alarm` takes them; none while the disk takes nothing."""
        if self.error or self.state != "recording":
            return []
        found: list[tuple[Watch, int]] = []
        for index, account in self.ledger.accounts.items():
            follower = self._followers.get(index)
            watch = None if follower is None else follower.watch()
            if watch is not None:
                found.append((watch, account.next_sequence))
        return found

    def step(self) -> bool:
        """Do what there is to do now; returns whether there is more to do at once."""
        if self.state != "recording":
            return False
        more = self._keep() if time.monotonic() >= self._retry_at else False
        self._leave_if_alive()
        if self.state != "recording" or not self._begun:
            return False
        ended = self.ledger.end is not None
        more = self.file.step(self._journal.next_entry, ended=ended) or more
        if self.file.failed and ended:
            self._fail(self.file.error)
        elif self.file.sealed:
            self._close_sealed()
        return more and self.state == "recording"

    def _keep(self) -> bool:
        """Move what the rings hold into the journal; returns whether they hold more."""
        opened = self._open_new()
        accounts, bodies, full = self._drain()
        bodies = self._packed(bodies, opened)
        ending = not full and self.ledger.end is None and self._at_end(accounts)
        batch: list[Body] = [*self._changes(), *opened, *bodies]
        if ending:
            # With where each stream ended, as no other entry may say that.
            batch += [checkpoint({**self.ledger.accounts, **accounts}), End(self._end_values())]
        if not batch and self._begun:
            return False
        before = self._journal.next_entry
        try:
            written = self._journal.commit(batch)
        except NotDurableError as error:
            self._defer(str(error))
            return False
        if self.error:
            log.info("the journal is written again: %s", self.description.directory)
        self._begun, self.error = True, ""
        self.ledger.accounts.update(accounts)
        for body in batch:
            if isinstance(body, Manifest | StreamOpened | End):
                self.ledger.take(body)
        self.file.feed(before, written)
        return full

    def _packed(self, bodies: list[Body], opened: Sequence[StreamOpened]) -> list[Body]:
        """Images packed, if the rig file wants that; whatever else there is stays as it is."""
        codec = (self.description.plain.get("storage") or {}).get("codec") or "none"
        if codec == "none":
            return bodies
        known = {**self.ledger.streams, **{new.index: new for new in opened}}
        frames = {n: s.schema_ipc for n, s in known.items() if s.spec.kind == FRAMES}
        return [
            pack(body, frames[body.stream], codec)
            if isinstance(body, RecordsEntry) and body.stream in frames
            else body
            for body in bodies
        ]

    def _defer(self, error: str) -> None:
        if not self.error:
            log.error("%s", error)
        self.error = error
        self._retry_at = time.monotonic() + RETRY_SECS

    def _changes(self) -> list[Body]:
        plain = self.description.plain
        if self.ledger.description is plain:
            return []
        if to_json(self.ledger.description) == to_json(plain):
            self.ledger.description = plain
            return []
        return [Manifest(plain)]

    def _open_new(self) -> list[StreamOpened]:
        """Follow each source that is not followed yet; returns those the journal does not know."""
        if self._followed is self.description:
            return []
        known = {opened.generation: index for index, opened in self.ledger.streams.items()}
        free = free_indices({*self.ledger.streams, *self.ledger.accounts})
        new: list[StreamOpened] = []
        for source in self.description.sources:
            index = known.get(source.generation)
            if index is None:
                index = known[source.generation] = next(free)
            follower = self._follow(index, source)
            if not self._is_named(index, follower):
                new.append(_opened(source, follower))
        if not new:
            self._followed = self.description
        return new

    def _is_named(self, index: int, follower: RingFollower) -> bool:
        """Whether the journal names the stream, and its schema if that can be had."""
        opened = self.ledger.streams.get(index)
        return opened is not None and bool(opened.schema_ipc or not follower.schema_ipc)

    def _follow(self, index: int, source: Source) -> RingFollower:
        follower = self._followers.get(index)
        if follower is None:
            follower = self._followers[index] = RingFollower(index, source)
        elif follower.source.end_sequence is None:
            follower.source = source
        return follower

    def _drain(self) -> tuple[dict[int, Account], list[Body], bool]:
        accounts: dict[int, Account] = {}
        bodies: list[Body] = []
        full = False
        share = BATCH_BYTES // max(1, len(self._followers))
        for index, follower in self._followers.items():
            account = self.ledger.accounts.get(index) or Account(follower.source.start_sequence)
            drained = follower.drain(account, share)
            accounts[index] = drained.account
            bodies += drained.bodies
            full = full or drained.full
        return accounts, bodies, full

    # --- the end

    def _at_end(self, accounts: Mapping[int, Account]) -> bool:
        """Whether the recording is over and every ring is read to its end."""
        if self.description.end is None and not self._writers_gone():
            return False
        for index, follower in self._followers.items():
            if follower.source.end_sequence is None:
                follower.freeze(accounts[index])
        return all(f.finished(accounts[index]) for index, f in self._followers.items())

    def _writers_gone(self) -> bool:
        if self._interrupted_at is None:
            return False
        return all(follower.writer_gone() for follower in self._followers.values())

    def _leave_if_alive(self) -> None:
        """Whoever still writes has a daemon, and that has a recorder: this one is not needed."""
        if self._interrupted_at is None or self.ledger.end is not None:
            return
        late = time.monotonic() - self._interrupted_at > WRITERS_GONE_SECS
        if late and not self._writers_gone():
            log.warning("left to another recorder: %s", self.description.directory)
            self.state = "left"
            self.close()

    def _end_values(self) -> dict[str, Any]:
        if self.description.end is not None:
            return dict(self.description.end)
        return {
            "state": "interrupted",
            "error": None,
            "ended_nanos": now_nanos(),
            "settings": {},
            "counters": {},
        }

    def _close_sealed(self) -> None:
        self.state = "sealed"
        self._journal.close()
        try:
            mark_sealed(
                self.description,
                self.file.sealed_counters(),
                ends(self.ledger),
                keep_journal=self._keep_journal,
                disk=self._disk,
            )
        except OSError as error:
            # The file is whole; the next start will look at this recording once more.
            log.warning("the journal cannot be marked as done: %s", error)
        self.close()

    def _fail(self, reason: str) -> None:
        self.state, self.error = "failed", reason
        log.error("the recording %s failed: %s", self.description.recording_id, reason)
        self.close()

    def close(self) -> None:
        """Let go of files and rings; another recorder may go on from here."""
        for follower in self._followers.values():
            follower.close()
        self._journal.close()
        self.file.close()
        self._lock.close()


def _opened(source: Source, follower: RingFollower) -> StreamOpened:
    return StreamOpened(
        follower.index,
        source.generation,
        source.spec,
        source.start_sequence,
        follower.schema_ipc,
    )
