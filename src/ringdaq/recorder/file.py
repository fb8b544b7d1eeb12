"""Keeps the HDF5 file of a recording up to its journal, makes it anew where it must, and seals it.

The file follows the journal in either of two ways: fed with what was just made durable, or, after a
restart or an error, read from the journal in short slices until it has caught up, so that the rings
never wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from ringdaq.errors import RecordingError, RingdaqError
from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.description import Description
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.entries import Body, Entry
from ringdaq.recorder.live import LiveFile, counters_of
from ringdaq.recorder.ordered import NotWrittenError
from ringdaq.recorder.scan import JournalReader
from ringdaq.recorder.verify import verify

log = logging.getLogger(__name__)

SLICE_SECS = 0.05
PAUSE_SECS = 0.25
FIRST_RETRY_SECS = 1.0
MAX_RETRY_SECS = 30.0
MAX_TRIES_AT_END = 3
# What HDF5 and the disk are known to raise; all else is a mistake of ours.
EXPECTED = (OSError, RuntimeError, ValueError, KeyError, RingdaqError)


class FileKeeper:
    """Call `feed` with each durable batch and `step` again and again."""

    def __init__(self, description: Description, *, flush_secs: float, disk: Disk) -> None:
        self.error = ""
        """What keeps the file from being written now; empty while all is well."""
        self.failed = False
        self.sealed_ledger: Ledger | None = None
        """The books of the file as it was sealed."""
        self._description = description
        self._flush_secs = flush_secs
        self._disk = disk
        self._live: LiveFile | None = None
        self._journal = JournalReader(description.directory)
        self._entries: Iterator[Entry] | None = None
        self._entries_start = 0
        self._flush_at = 0.0
        self._dirty = False
        self._paused = False
        self._verifying: Iterator[None] | None = None
        self._retry_at = 0.0
        self._retry_secs = FIRST_RETRY_SECS
        self._ended = False
        self._tries_at_end = 0

    @property
    def sealed(self) -> bool:
        """Whether the file is complete, checked and on the medium."""
        return self.sealed_ledger is not None

    def feed(self, number: int, bodies: Sequence[Body]) -> None:
        """Take entries that were just made durable, the first of which has this number."""
        live = self._live
        if live is None or live.next_entry != number:
            return  # `step` will read them from the journal
        self._guarded(lambda: self._take(live, bodies))

    def _take(self, live: LiveFile, bodies: Sequence[Body]) -> bool:
        for body in bodies:
            live.take(body)
        self._dirty = True
        return False

    def step(self, next_entry: int, *, ended: bool = False) -> bool:
        """Bring the file nearer to the journal, whose next entry has this number.

        Returns whether there is more to do at once. Only a journal that has ended is given up.
        """
        self._ended = ended
        if self.sealed or self.failed or time.monotonic() < self._retry_at:
            return False
        return self._guarded(lambda: self._step(next_entry))

    def _step(self, next_entry: int) -> bool:
        if self._live is None:
            self._live = LiveFile(self._description.file, self._description.plain, self._disk)
            self._journal = JournalReader(self._description.directory)
        live = self._live
        if self._paused:
            live.flush()
            self._paused = False
        if live.next_entry < next_entry:
            self._catch_up(live, next_entry)
            if live.next_entry < next_entry:
                return True
            self._entries = None
        if not live.published:
            live.publish()
        if live.ledger.end is not None:
            return self._finish(live)
        self._flush_if_due(live)
        return False

    def _catch_up(self, live: LiveFile, next_entry: int) -> None:
        if self._entries is None:
            # What comes later is being written: it may still fail, and be written otherwise.
            self._entries = self._journal.entries(live.next_entry, next_entry)
            self._entries_start = live.next_entry
        deadline = time.monotonic() + SLICE_SECS
        for entry in self._entries:
            live.next_entry = entry.number
            live.take(entry.body)
            self._dirty = True
            if time.monotonic() > deadline:
                return
        # What was read is the journal as it was a moment ago; the rest is read next time.
        self._entries = None
        if live.next_entry == self._entries_start:
            raise RecordingError(
                f"the journal should hold an entry {live.next_entry}; found none: "
                f"{self._description.directory}"
            )

    def _flush_if_due(self, live: LiveFile) -> None:
        now = time.monotonic()
        if self._dirty and now >= self._flush_at:
            live.flush()
            self._dirty = False
            self._flush_at = now + self._flush_secs

    def _finish(self, live: LiveFile) -> bool:
        """Seal in slices: write the end, compare with the journal, mark."""
        if self._verifying is None:
            live.finish()
            self._verifying = verify(live, JournalReader(self._description.directory))
        deadline = time.monotonic() + SLICE_SECS
        for _ in self._verifying:
            if time.monotonic() > deadline:
                return True
        live.seal()
        self.sealed_ledger = live.ledger
        return False

    def sealed_counters(self) -> dict[str, dict[str, int]]:
        """What the sealed file holds and lacks, by stream."""
        assert self.sealed_ledger is not None
        return {name: c.to_plain() for name, c in counters_of(self.sealed_ledger).items()}

    def _guarded(self, work: Callable[[], bool]) -> bool:
        """Do the work; when it fails in any way, drop the file and make it anew later.

        The journal is what counts: no mistake made here may keep it from being written.
        """
        try:
            more = work()
        except NotWrittenError as error:
            self._pause(f"the file cannot be written: {error}: {self._description.file}")
            return False
        except Exception as error:
            self._tries_at_end += self._ended and not isinstance(error, OSError)
            if not isinstance(error, EXPECTED):
                log.exception("a mistake in writing the file")
            self._drop(f"the file cannot be written: {_told(error)}: {self._description.file}")
            return False
        self.error = ""
        self._retry_secs = FIRST_RETRY_SECS
        return more

    def _pause(self, error: str) -> None:
        """The disk takes nothing now: what is on it stays right, the rest is written later."""
        if self._live is None or not self._live.published:
            self._drop(error)  # the draft may be what fills the disk
            return
        if not self.error:
            log.error("%s", error)
        self.error, self._paused = error, True
        self._retry_at = time.monotonic() + PAUSE_SECS

    def _drop(self, error: str) -> None:
        log.error("%s", error)
        self.error = error
        self.failed = self._tries_at_end >= MAX_TRIES_AT_END
        self.close()
        self._retry_at = time.monotonic() + self._retry_secs
        self._retry_secs = min(2 * self._retry_secs, MAX_RETRY_SECS)

    def close(self) -> None:
        """Let go of the file; what was flushed stays readable."""
        if self._live is not None:
            self._live.close()
        self._live, self._verifying, self._entries = None, None, None
        self._paused = False


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
