"""One stream, read for all who want it: a thread, asleep until the stream's writer wakes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ringdaq.errors import (
    NotYetWrittenError,
    OverrunError,
    RingdaqError,
    StreamError,
    UnknownStreamError,
)
from ringdaq.gateway.batch import RingBatch
from ringdaq.gateway.ring_files import Place, Ring
from ringdaq.model import StreamSpec
from ringdaq.streams import StreamReader

log = logging.getLogger(__name__)

WAIT_SECS = 1.0
MAX_BATCH_RECORDS = 256
MAX_BATCH_BYTES = 8 << 20


class Listener(Protocol):
    """Somebody who is given records; called on the threads that read the rings."""

    def offer(self, batch: RingBatch) -> None:
        """Take, or count as dropped, new records; never waits."""

    def lose(self, spec: StreamSpec, records: int, rows: int) -> None:
        """Count what the ring's writer overwrote before it could be read."""

    def fail(self, error: RingdaqError) -> None:
        """The stream cannot be read any more."""


class Audience(Protocol):
    """Who listens, and what there is to read."""

    def listeners(self, spec: StreamSpec) -> Sequence[Listener]:
        """Those who want a stream."""

    def ring_after(self, stream: str, place: Place) -> Path | None:
        """The ring that follows one of the same stream, if there is one by now."""


class Follower(threading.Thread):
    """Reads one stream, through all its generations, for everybody who wants it."""

    def __init__(self, audience: Audience, path: Path, *, newest: bool) -> None:
        """Begins with the record to come, or with the ring's very first, lost or not."""
        self._reader = StreamReader.open(path)
        self.ring = Ring.of(self._reader)
        """The ring that is read now, or was read last."""
        self.stream = self.ring.spec.name
        super().__init__(name=f"ring-{self.stream}", daemon=True)
        self._audience = audience
        now = self._reader.statistics()
        self._sequence, self._row = (now.next_sequence, now.rows) if newest else (0, 0)
        self._lost_records = 0
        self._handing_on = threading.Lock()
        self._asked_to_stop = threading.Event()

    @property
    def at_end(self) -> bool:
        """Whether nothing is left to read, and nothing will come."""
        return self._ended() and self._sequence >= self._reader.statistics().next_sequence

    def _ended(self) -> bool:
        now = self._reader.statistics()
        return now.closed or not now.writer_alive

    def stop(self) -> None:
        """Hand nothing on from now on, and let the thread end, within `WAIT_SECS`."""
        with self._handing_on:
            self._asked_to_stop.set()

    def close(self) -> None:
        """Let go of the ring, which may have been removed and holds memory then."""
        self._reader.close()
        del self._reader

    def run(self) -> None:
        try:
            while self._follow() and self._turn():
                pass
        except RingdaqError as error:
            log.warning("stream %s cannot be read any more: %s", self.stream, error)
            self._fail(error)
        except Exception as error:
            log.exception("stream %s cannot be read any more", self.stream)
            text = f"stream {self.stream!r} cannot be read any more: internal error: {error!r}"
            self._fail(StreamError(text, stream=self.stream))
        finally:
            self.close()

    def _fail(self, error: RingdaqError) -> None:
        self._tell(lambda listener: listener.fail(error))

    def _follow(self) -> bool:
        """Read to the end of this ring; `False` if asked to stop before."""
        while not self._asked_to_stop.is_set():
            before = self._reader.statistics()
            if self._sequence < before.next_sequence:
                self._read(before.next_sequence)
            elif before.closed or not before.writer_alive:
                # What was written between the count and the end is seen by a second look.
                if self.at_end:
                    self._tell_loss(self._reader.statistics().rows)
                    return True
            else:
                self._reader.wait(self._sequence, WAIT_SECS)
        return False

    def _read(self, end: int) -> None:
        """Hand on what is written, as far as one batch goes."""
        batch = RingBatch(self.ring)
        try:
            while self._sequence < end and batch.has_room(MAX_BATCH_RECORDS, MAX_BATCH_BYTES):
                record = self._reader.read(self._sequence)
                self._tell_loss(record.first_row)
                batch.add(record)
                self._sequence, self._row = record.sequence + 1, record.first_row + record.rows
        except OverrunError as error:
            self._lost_records += error.resume_at - self._sequence
            self._sequence = error.resume_at
        except NotYetWrittenError:
            pass
        finally:
            if batch.records:
                self._tell(lambda listener: listener.offer(batch))

    def _tell_loss(self, rows_before: int) -> None:
        """Tell what was overwritten, once a record that is left tells how many rows came before."""
        if self._lost_records:
            records, rows = self._lost_records, rows_before - self._row
            self._lost_records, self._row = 0, rows_before
            self._tell(lambda listener: listener.lose(self.ring.spec, records, rows))

    def _tell(self, what: Callable[[Listener], None]) -> None:
        """Nobody hears of a thread that was told to stop: another one may read in its place."""
        with self._handing_on:
            if not self._asked_to_stop.is_set():
                for listener in self._audience.listeners(self.ring.spec):
                    what(listener)

    def _turn(self) -> bool:
        """Turn to the generation that follows, from its first record on; `False` if none does."""
        while (path := self._audience.ring_after(self.stream, self.ring.place)) is not None:
            with suppress(UnknownStreamError):  # removed a moment ago
                following = StreamReader.open(path)
                self._reader.close()
                self._reader, self.ring = following, Ring.of(following)
                self._sequence = self._row = 0
                return True
        return False
