"""A CSV file as a sink: a line a sample, with its own time, all channels."""

from __future__ import annotations

from io import FileIO
from typing import Any

from ringdaq.config import FilePath, Section
from ringdaq.model import Channel
from ringdaq.pipeline.parts import PacketFormat, Site
from ringdaq.pipeline.sinks.new_file import append, make_file, new_files
from ringdaq.pipeline.views import EegDataView
from ringdaq.pipeline.volts import Physical


class CsvFile:
    """Physical values of every kind of packet, units in the heading.

    A spectrum has a line for each of its rows, all with the packet's time, and the row's name.
    """

    class Options(Section):
        """Of a `csv_sink`."""

        file: FilePath
        """A file that is there stays, and the new one is called NAME-2, NAME-3 and so on."""

    def __init__(self, options: Options, site: Site) -> None:
        self.path = site.resolve(options.file)
        """Of the file that is written, known once it is open."""
        self._out: FileIO | None = None
        self._physical = Physical(())
        self._line = ""
        self._rows: tuple[str, ...] = ()

    def open(self, format: PacketFormat) -> None:
        """Make the file and write its heading."""
        self._rows = format.rows
        self._physical = Physical(format.channels)
        # Nine digits are all that a float32 has, twelve all of a count times its scale.
        digits = "%.12g" if format.kind == "raw" else "%.9g"
        columns = ["%d", *(["%s"] if self._rows else [])] + [digits] * len(format.channels)
        self._line = ",".join(columns) + "\n"
        heading = ["time_nanos", *(["row"] if self._rows else [])]
        heading += [_heading(channel) for channel in format.channels]
        self.path = next(new_files(self.path))
        self._out = make_file(self.path)
        append(self._out, (",".join(heading) + "\n").encode())

    def take(self, view: EegDataView) -> None:
        assert self._out is not None
        values = self._physical(view.data).tolist()
        if self._rows:
            time = view.sample_timestamp(0)
            starts: list[tuple[Any, ...]] = [(time, _quoted(row)) for row in self._rows]
        else:
            starts = [(time,) for time in view.timestamps().tolist()]
        lines = [self._line % (*start, *row) for start, row in zip(starts, values, strict=True)]
        append(self._out, "".join(lines).encode())

    def close(self) -> None:
        if self._out is not None:
            self._out.close()


def _heading(channel: Channel) -> str:
    return _quoted(f"{channel.name} [{channel.unit}]" if channel.unit else channel.name)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text
