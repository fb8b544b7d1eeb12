"""CSV: one file a stream, physical values, the units in the heading."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringdaq.model import Channel
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import file_name, write_about
from ringdaq.recorder.readback import RecordedFile, RecordedStream

PIECE_ROWS = 10_000
GAPS = ("stream", "generation", "row", "first_sequence", "records", "rows", "reason")


def write_csv(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.csv`, `gaps.csv` and `about.json`; a missing value is an empty cell."""
    done = Exported(write_about(file, list(streams), directory))
    for stream in streams:
        done.files.append(_write_stream(stream, directory / f"{file_name(stream.name)}.csv"))
        for channel in stream.spec.channels:
            if channel.shape:
                done.left_out.append(f"the images {stream.name}/{channel.name}: no place in CSV")
    gaps = directory / "gaps.csv"
    with gaps.open("w", newline="") as out:
        table = csv.DictWriter(out, GAPS)
        table.writeheader()
        table.writerows(file.gaps())
    done.files.append(gaps)
    return done


def _write_stream(stream: RecordedStream, path: Path) -> Path:
    channels = [c for c in stream.spec.channels if not c.shape]
    with path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["time_nanos", *map(_heading, channels)])
        for first in range(0, stream.rows, PIECE_ROWS):
            end = min(first + PIECE_ROWS, stream.rows)
            columns = [_cells(stream, channel, first, end) for channel in channels]
            table.writerows(zip(stream.times(first, end).tolist(), *columns, strict=True))
    return path


def _heading(channel: Channel) -> str:
    return f"{channel.name} [{channel.unit}]" if channel.unit else channel.name


def _cells(stream: RecordedStream, channel: Channel, first: int, end: int) -> list[Any]:
    values: list[Any] = stream.physical(channel, first, end).tolist()
    if stream.spec.kind == "samples":
        return values
    missing = stream.missing(channel.name, first, end)
    if missing is None:
        return values
    return ["" if gone else value for value, gone in zip(values, missing, strict=True)]
