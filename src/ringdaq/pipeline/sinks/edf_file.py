"""EDF and BDF files as a sink: one for each gapless stretch, of a bounded length."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from ringdaq.config import FilePath, Section
from ringdaq.edf import BITS, EdfHeader, data_record, edf_library, write_edf_file
from ringdaq.errors import RecordingError
from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.sinks.new_file import new_file, part_of
from ringdaq.pipeline.views import EegDataView
from ringdaq.pipeline.volts import in_microvolts

log = logging.getLogger(__name__)


class EdfFile:
    """Voltages in microvolts; samples wait in a file beside it until theirs is complete."""

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
        self._file = site.resolve(options.file)
        self._file_secs = options.file_secs
        self._format: PacketFormat | None = None
        self._channels: tuple[Channel, ...] = ()
        self._spool: BinaryIO | None = None
        self._path = self._file
        self._rows = self._most_rows = 0
        self._began_nanos = 0
        self._next: tuple[int, int] | None = None
        self.files: list[Path] = []
        """Those that are complete."""
        self.gaps = 0
        """Stretches begun anew."""
        self.left_rows = 0
        """Rows at the ends of files that made no whole data record."""

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
        if self._rows and self._next != (view.origin_nanos, view.first_sample):
            self.gaps += 1
            self._end()
            self._begin()
        done = 0
        while done < view.samples:
            if self._rows == self._most_rows:
                self._end()
                self._begin()
            if not self._rows:
                self._began_nanos = view.sample_timestamp(done)
            done += self._keep(view.data[done:])
        self._next = (view.origin_nanos, view.first_sample + view.samples)

    def statistics(self) -> dict[str, int]:
        """Files and what they could not hold, so far."""
        return {"files": len(self.files), "gaps": self.gaps, "left_rows": self.left_rows}

    def close(self) -> None:
        if self._spool is not None:
            self._end()

    def _begin(self) -> None:
        self._rows = 0
        self._path = new_file(self._file)
        try:
            self._spool = part_of(self._path).open("xb")
        except OSError as error:
            raise RecordingError(
                f"the EDF file cannot be made ({error.strerror}): {self._path}"
            ) from error

    def _keep(self, rows: npt.NDArray[Any]) -> int:
        assert self._spool is not None
        kept = rows[: self._most_rows - self._rows]
        self._spool.write(np.ascontiguousarray(kept).data)
        self._rows += len(kept)
        return len(kept)

    def _end(self) -> None:
        """Make the file out of what was kept, and take that away."""
        assert self._spool is not None
        self._spool.close()
        self._spool = None
        if self._rows:
            self._write()
        part_of(self._path).unlink()

    def _write(self) -> None:
        assert self._format is not None
        dtype = np.int32 if self._format.kind == "raw" else np.float32
        values = np.memmap(part_of(self._path), dtype, "r", shape=(self._rows, len(self._channels)))
        began = datetime.fromtimestamp(self._began_nanos // 10**9, UTC)
        began += timedelta(microseconds=self._began_nanos % 10**9 // 1000)
        note = "ringdaq pipeline" + (", simulated" if self._format.simulated else "")
        header = EdfHeader(self._format.rate, began, "ringdaq", note)
        if self._rows < data_record(self._format.rate)[1]:
            self.left_rows += self._rows
            log.warning("%d rows make no data record, left out: %s", self._rows, self._path)
            return
        written = write_edf_file(self._path, header, self._channels, values)
        self.files.append(self._path)
        self.left_rows += written.left_rows
        if written.left_rows:
            log.warning(
                "the last %d rows make no data record, left out: %s", written.left_rows, self._path
            )
        if written.rounded:
            bits = BITS[self._path.suffix[1:].lower()]
            log.info("%s: rounded to %d bits: %s", self._path, bits, ", ".join(written.rounded))
        if written.shifted:
            off = ", ".join(f"{name} by {by:.3g}" for name, by in written.shifted.items())
            log.warning("%s: the header's eight characters shift %s", self._path, off)
