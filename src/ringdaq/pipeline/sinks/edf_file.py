"""EDF and BDF files as a sink: one for each gapless stretch, of a bounded length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.config import FilePath, Section
from ringdaq.edf import data_record, edf_library
from ringdaq.errors import RecordingError
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.sinks.edf_making import EdfMaker
from ringdaq.pipeline.sinks.new_file import new_files
from ringdaq.pipeline.sinks.spool import Spool
from ringdaq.pipeline.views import EegDataView

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
        self._spool: Spool | None = None
        self._maker: EdfMaker | None = None
        self._dtype: np.dtype[Any] = np.dtype(np.float32)
        self._channels = self._most_rows = 0
        self._due: tuple[int, int] | None = None
        """The place in its stretch and the time of the sample that comes next."""
        self.gaps = 0
        """Files begun since samples were missing."""

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
        self._dtype = np.dtype(np.int32 if format.kind == "raw" else np.float32)
        self._channels = len(format.channels)
        self._maker = EdfMaker(format)
        self._begin()

    def take(self, view: EegDataView) -> None:
        assert self._maker is not None
        if self._due is not None and not self._follows(view, *self._due):
            self.gaps += 1
            self._end()
        done = 0
        while done < view.samples:
            spool = self._spool or self._begin()
            if not spool.rows:
                spool.began_nanos = view.sample_timestamp(done)
            kept = view.data[done:][: self._most_rows - spool.rows]
            spool.add(kept)
            done += len(kept)
            if spool.rows == self._most_rows:
                self._end()
        self._due = view.first_sample + view.samples, view.sample_timestamp(view.samples)
        self._maker.look()

    @property
    def files(self) -> list[Path]:
        """Those that are complete."""
        return self._maker.files if self._maker is not None else []

    def statistics(self) -> dict[str, int]:
        """Files and what they could not hold, so far."""
        maker = self._maker
        return {
            "files": len(self.files),
            "gaps": self.gaps,
            "left_rows": maker.left_rows if maker is not None else 0,
            "missing": maker.missing if maker is not None else 0,
        }

    def close(self) -> None:
        try:
            self._end()
        finally:
            if self._maker is not None:
                self._maker.close()

    def _follows(self, view: EegDataView, place: int, nanos: int) -> bool:
        """Whether nothing is missing: a source that follows a clock moves its times a little."""
        off_secs = abs(view.sample_timestamp(0) - nanos) / NANOS_PER_SEC
        return off_secs < (MOVED_SECS if view.first_sample == place else float(1 / view.rate))

    def _begin(self) -> Spool:
        self._spool = Spool(next(self._paths), self._dtype, self._channels)
        return self._spool

    def _end(self) -> None:
        """Have the file made out of what was kept."""
        spool, self._spool = self._spool, None
        if spool is not None:
            assert self._maker is not None
            spool.close()
            self._maker.make(spool)
