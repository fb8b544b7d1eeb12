"""EDF and BDF files out of rows that were kept, on a thread that no packet waits for."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.edf import BITS, EdfHeader, EdfWritten, data_record, mark_missing, write_edf_file
from ringdaq.errors import RecordingError
from ringdaq.pipeline.parts import PacketFormat
from ringdaq.pipeline.sinks.spool import Spool
from ringdaq.pipeline.volts import in_microvolts

log = logging.getLogger(__name__)

MAKE_SECS = 600.0
"""A file that is not made after so long never will be."""


class EdfMaker:
    """Makes one file after the other; what it counts belongs to whoever asks it to."""

    def __init__(self, format: PacketFormat) -> None:
        self.files: list[Path] = []
        """Those that are complete."""
        self.left_rows = 0
        """Rows at the ends of files that made no whole data record."""
        self.missing = 0
        """Values that were no numbers."""
        self._format = format
        # Volts would lose their digits in the header's eight characters.
        self._channels = tuple(map(in_microvolts, format.channels))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edf")
        self._making: deque[Future[tuple[Path, EdfWritten, int]]] = deque()

    def make(self, spool: Spool) -> None:
        """Begin to make a file of a spool that is closed, and take that away then."""
        if spool.rows >= data_record(self._format.rate)[1]:
            self._making.append(self._thread.submit(self._make, spool))
            return
        if spool.rows:
            self.left_rows += spool.rows
            log.warning("%d rows make no data record, left out: %s", spool.rows, spool.target)
        spool.path.unlink()

    def look(self, most: int = 1) -> None:
        """Note what is made, and wait until no more than so many files are not.

        Raises a `RecordingError` for one that could not be made; the next call goes on.
        """
        while self._making and (len(self._making) > most or self._making[0].done()):
            path, written, missing = self._making.popleft().result(MAKE_SECS)
            self.files.append(path)
            self.left_rows += written.left_rows
            self.missing += missing
            _tell(path, written, missing)

    def close(self) -> None:
        """Wait for all files; raises where one could not be made."""
        try:
            self.look(0)
        finally:
            if self._making:
                self.close()
            self._thread.shutdown(wait=False)

    def _make(self, spool: Spool) -> tuple[Path, EdfWritten, int]:
        try:
            written, missing = self._write(spool)
        except Exception as error:
            raise RecordingError(
                f"{spool.rows} rows could not become an EDF file ({error}); they are kept as they "
                f"came, {spool.dtype.name} of {len(self._channels)} channels: {spool.path}"
            ) from error
        spool.path.unlink()
        return spool.target, written, missing

    def _write(self, spool: Spool) -> tuple[EdfWritten, int]:
        values, missing = mark_missing(spool.values(), self._channels)
        note = "ringdaq pipeline" + (", simulated" if self._format.simulated else "")
        if missing:
            note += f"; {missing} missing values lie below all others of their channels"
        began = datetime.fromtimestamp(spool.began_nanos // NANOS_PER_SEC, UTC)
        began += timedelta(microseconds=spool.began_nanos % NANOS_PER_SEC // 1000)
        header = EdfHeader(self._format.rate, began, "ringdaq", note)
        return write_edf_file(spool.target, header, self._channels, values), missing


def _tell(path: Path, written: EdfWritten, missing: int) -> None:
    if missing:
        log.warning("%d values are no numbers, and marked: %s", missing, path)
    if written.left_rows:
        log.warning("the last %d rows make no data record, left out: %s", written.left_rows, path)
    if written.rounded:
        bits = BITS[path.suffix[1:].lower()]
        log.info("%s: rounded to %d bits: %s", path, bits, ", ".join(written.rounded))
    if written.shifted:
        off = ", ".join(f"{name} by {by:.3g}" for name, by in written.shifted.items())
        log.warning("%s: the header's eight characters shift %s", path, off)
