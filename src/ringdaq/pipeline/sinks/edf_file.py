"""EDF and BDF files as a sink: one for each gapless stretch, of a bounded length."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.config import FilePath, Section
from ringdaq.edf import (
    BITS,
    EdfHeader,
    EdfWritten,
    data_record,
    edf_library,
    mark_missing,
    write_edf_file,
)
from ringdaq.errors import RecordingError
from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.sinks.new_file import new_files
from ringdaq.pipeline.sinks.spool import Spool
from ringdaq.pipeline.views import EegDataView
from ringdaq.pipeline.volts import in_microvolts

log = logging.getLogger(__name__)

MOVED_SECS = 0.5
"""A source that follows another clock moves its times by less than this, and its samples go on."""


class EdfFile:
    """Voltages in microvolts.

    Samples wait in `NAME.part` until their file is complete: bare int32 (raw packets) or float32,
    the channels of a sample side by side. That stays where no file can be made of it, and the sink
    has failed. A value that is no number is written below all others of its channel, and counted as
    `missing`; an annotation says how many there are.
    """

    takes = ("raw", "voltage", "filtered")

    class Options(Section):
        """Of an `edf_sink`."""

        file: FilePath
        """`NAME.edf` for 16 bits or `NAME.bdf` for 24; those after it, and after one that is there
        already, are called NAME-2, NAME-3 and so on."""
        file_secs: Annotated[float, Field(ge=1, le=3600)] = 600.0
        """The next file begins after so much; a file is made in memory, as the format wants it."""

        @field_validator("file")
        @classmethod
        def _suffix(cls, file: Path) -> Path:
            if file.suffix.lower() not in (".edf", ".bdf"):
                raise ValueError(f"a file must end in .edf or .bdf; found {file.name!r}")
            return file

    def __init__(self, options: Options, site: Site) -> None:
        self._paths = new_files(site.resolve(options.file))
        self._file_secs = options.file_secs
        self._format: PacketFormat | None = None
        self._channels: tuple[Channel, ...] = ()
        self._spool: Spool | None = None
        self._most_rows = 0
        self._began_nanos = 0
        self._due = (0, 0)
        """The place in its stretch and the time of the sample that comes next."""
        self.files: list[Path] = []
        """Those that are complete."""
        self.gaps = 0
        """Files begun since samples were missing."""
        self.left_rows = 0
        """Rows at the ends of files that made no whole data record."""
        self.missing = 0
        """Values that were no numbers."""

    def check(self, format: PacketFormat) -> None:
        """Refuse rates that no data record fits."""
        try:
            data_record(format.rate)
        except RecordingError as error:
            raise RefusedError(str(error)) from error

    def open(self, format: PacketFormat) -> None:
        edf_library()
        _, record_rows = data_record(format.rate)
        wanted = int(self._file_secs * format.rate)
        self._most_rows = max(record_rows, wanted // record_rows * record_rows)
        self._format = format
        # Volts would lose their digits in the header's eight characters.
        self._channels = tuple(map(in_microvolts, format.channels))
        self._begin()

    def take(self, view: EegDataView) -> None:
        assert self._spool is not None
        if self._spool.rows and not self._follows(view):
            self.gaps += 1
            self._next_file()
        done = 0
        while done < view.samples:
            if self._spool.rows == self._most_rows:
                self._next_file()
            if not self._spool.rows:
                self._began_nanos = view.sample_timestamp(done)
            kept = view.data[done:][: self._most_rows - self._spool.rows]
            self._spool.add(kept)
            done += len(kept)
        self._due = view.first_sample + view.samples, view.sample_timestamp(view.samples)

    def statistics(self) -> dict[str, int]:
        """Files and what they could not hold, so far."""
        return {
            "files": len(self.files),
            "gaps": self.gaps,
            "left_rows": self.left_rows,
            "missing": self.missing,
        }

    def close(self) -> None:
        if self._spool is not None:
            self._end()

    def _follows(self, view: EegDataView) -> bool:
        """Whether nothing is missing: a source that follows a clock moves its times a little."""
        place, nanos = self._due
        off_secs = abs(view.sample_timestamp(0) - nanos) / NANOS_PER_SEC
        return off_secs < (MOVED_SECS if view.first_sample == place else float(1 / view.rate))

    def _next_file(self) -> None:
        try:
            self._end()
        finally:
            self._begin()

    def _begin(self) -> None:
        assert self._format is not None
        dtype = np.int32 if self._format.kind == "raw" else np.float32
        self._spool = Spool(next(self._paths), dtype, len(self._channels))

    def _end(self) -> None:
        """Make the file out of what was kept, and take that away."""
        spool, self._spool = self._spool, None
        assert spool is not None
        assert self._format is not None
        spool.close()
        if spool.rows >= data_record(self._format.rate)[1]:
            self._write(spool)
        elif spool.rows:
            self.left_rows += spool.rows
            log.warning("%d rows make no data record, left out: %s", spool.rows, spool.target)
        spool.path.unlink()

    def _write(self, spool: Spool) -> None:
        try:
            self._tell(spool.target, self._written(spool))
        except Exception as error:
            raise RecordingError(
                f"{spool.rows} rows could not become an EDF file ({error}); they are kept as they "
                f"came, {spool.dtype.name} of {len(self._channels)} channels: {spool.path}"
            ) from error
        self.files.append(spool.target)

    def _written(self, spool: Spool) -> EdfWritten:
        assert self._format is not None
        began = datetime.fromtimestamp(self._began_nanos // NANOS_PER_SEC, UTC)
        began += timedelta(microseconds=self._began_nanos % NANOS_PER_SEC // 1000)
        note = "ringdaq pipeline" + (", simulated" if self._format.simulated else "")
        values, missing = mark_missing(spool.values(), self._channels)
        if missing:
            note += f"; {missing} missing values lie below all others of their channels"
            log.warning("%d values are no numbers, and marked: %s", missing, spool.target)
        header = EdfHeader(self._format.rate, began, "ringdaq", note)
        written = write_edf_file(spool.target, header, self._channels, values)
        self.missing += missing
        return written

    def _tell(self, path: Path, written: EdfWritten) -> None:
        self.left_rows += written.left_rows
        if written.left_rows:
            log.warning(
                "the last %d rows make no data record, left out: %s", written.left_rows, path
            )
        if written.rounded:
            bits = BITS[path.suffix[1:].lower()]
            log.info("%s: rounded to %d bits: %s", path, bits, ", ".join(written.rounded))
        if written.shifted:
            off = ", ".join(f"{name} by {by:.3g}" for name, by in written.shifted.items())
            log.warning("%s: the header's eight characters shift %s", path, off)
