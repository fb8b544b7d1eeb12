"""Lets a thread of its own keep a file up to its journal, so that rows never wait for HDF5.

While the disk syncs the journal the file is written, and the other way round.
What waits for the thread is bounded; what is too much, it reads from the journal later.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Sequence

from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.entries import Body, RecordsEntry
from ringdaq.recorder.file import FileKeeper

log = logging.getLogger(__name__)

WAITING_BYTES = 64 << 20
# So much is taken at once; what is less waits for the next look, and disturbs no commit meanwhile.
WORTHWHILE_BYTES = 4 << 20
LOOK_SECS = 0.25
# The file is begun so much later than the journal: making it must not share the processors with
# what a run does first.
FIRST_SECS = 0.25
# The journal's thread asks for the interpreter after each call of the system; Python lets it wait
# for 5 ms each time.
SWITCH_SECS = 0.0002
LEAVE_SECS = 30.0


class FileBehind:
    """Stands for a `FileKeeper`, whose work it does elsewhere."""

    def __init__(self, keeper: FileKeeper) -> None:
        self._keeper = keeper
        self._waiting: deque[tuple[int, Sequence[Body], int]] = deque()
        self._waiting_bytes = 0
        self._next_entry = 0
        self._ended = False
        self._told = threading.Condition()
        self._urgent = False
        """Something waits that somebody looks for in the file: a stream, a gap, the end."""
        self._leaving = False
        self._broken = ""
        self._thread: threading.Thread | None = None

    # --- what the recording calls

    @property
    def error(self) -> str:
        """What keeps the file from being written now; empty while all is well."""
        return self._broken or self._keeper.error

    @property
    def failed(self) -> bool:
        """Whether the file cannot be made."""
        return bool(self._broken) or self._keeper.failed

    @property
    def sealed(self) -> bool:
        """Whether the file is complete, checked and on the medium."""
        return self._keeper.sealed

    @property
    def sealed_ledger(self) -> Ledger | None:
        """The books of the file as it was sealed."""
        return self._keeper.sealed_ledger

    def sealed_counters(self) -> dict[str, dict[str, int]]:
        """What the sealed file holds and lacks, by stream."""
        return self._keeper.sealed_counters()

    def feed(self, number: int, bodies: Sequence[Body]) -> None:
        """Hand over entries that were just made durable, the first of which has this number."""
        records = [body for body in bodies if isinstance(body, RecordsEntry)]
        size = _size(records)
        with self._told:
            if self._waiting_bytes + size <= WAITING_BYTES:
                self._waiting.append((number, bodies, size))
                self._waiting_bytes += size
            self._urgent |= len(records) < len(bodies)

    def step(self, next_entry: int, *, ended: bool = False) -> bool:
        """Tell how far the journal is; never leaves the caller anything to do at once."""
        with self._told:
            self._next_entry, self._ended = next_entry, ended
            if self._worthwhile():
                self._told.notify()
        if self._thread is None:
            sys.setswitchinterval(min(SWITCH_SECS, sys.getswitchinterval()))
            self._thread = threading.Thread(target=self._serve, name="write-file", daemon=True)
            self._thread.start()
        return False

    def close(self) -> None:
        """Let go of the file; what was flushed stays readable."""
        with self._told:
            self._leaving = True
            self._told.notify()
        if self._thread is not None:
            self._thread.join(LEAVE_SECS)
            if self._thread.is_alive():
                log.error("the file is still being written after %g s, and is left", LEAVE_SECS)
                return
        self._keeper.close()

    # --- what the thread does

    def _serve(self) -> None:
        try:
            self._rest()
            more = False
            while self._wait(0.0 if more else LOOK_SECS):
                more = self._work()
        except Exception as error:
            log.exception("the file is written no more")
            self._broken = f"{type(error).__name__}: {error}"

    def _rest(self) -> None:
        """Leave the first moments to the run, unless they are all that there is."""
        with self._told:
            self._told.wait_for(lambda: self._leaving or self._ended, FIRST_SECS)

    def _worthwhile(self) -> bool:
        return self._leaving or self._urgent or self._waiting_bytes >= WORTHWHILE_BYTES

    def _wait(self, timeout: float) -> bool:
        """Sleep until it is worthwhile to go on, or time to look; False at the end."""
        with self._told:
            self._told.wait_for(self._worthwhile, timeout)
            self._urgent = False
            return not self._leaving

    def _work(self) -> bool:
        while True:
            with self._told:
                if self._leaving or not self._waiting:
                    next_entry, ended = self._next_entry, self._ended
                    break
                number, bodies, size = self._waiting.popleft()
                self._waiting_bytes -= size
            self._keeper.feed(number, bodies)
        return self._keeper.step(next_entry, ended=ended)


def _size(records: Sequence[RecordsEntry]) -> int:
    return sum([len(entry.payloads) for entry in records])
