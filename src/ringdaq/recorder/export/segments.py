"""Samples cut where rows are missing, for formats that know no gap.

Nothing is made up in between: each unbroken stretch becomes a file with its own beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from ringdaq.errors import RecordingError
from ringdaq.model import SAMPLES
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import file_name
from ringdaq.recorder.readback import Array, RecordedFile, RecordedStream
from ringdaq.streams.history_source import holes_between


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a stream without a gap."""

    first: int
    end: int
    began: datetime
    label: str
    """The stream's name, with a number behind it where there are several."""


def sample_streams(
    file: RecordedFile, streams: Sequence[RecordedStream], done: Exported
) -> list[RecordedStream]:
    """The streams that such a format can hold; the others are told."""
    kept = [s for s in streams if s.spec.kind == "samples" and s.rows]
    done.left_out += [
        f"the stream {s.name}: only samples at a steady rate have a place"
        for s in streams
        if s not in kept
    ]
    if not kept:
        raise RecordingError(
            f"this format holds samples at a steady rate; the recording has none: {file.path}"
        )
    return kept


def stretches(file: RecordedFile, stream: RecordedStream, done: Exported) -> Iterator[Stretch]:
    """The unbroken parts of a stream of samples."""
    times = stream.times()
    holes = {hole.last_nanos for hole in holes_between(stream.spec, times[:-1], times[1:])}
    told = {g["row"] for g in file.gaps() if g["stream"] == stream.spec.name}
    cuts = sorted({*np.flatnonzero(np.isin(times, [*holes])).tolist()} | told)
    cuts = [0, *(row for row in cuts if 0 < row < stream.rows), stream.rows]
    if len(cuts) > 2:
        done.left_out.append(
            f"{len(cuts) - 2} gaps of {stream.name}: each stretch between them is a file"
        )
    if len(set(np.diff(times).tolist())) > 2:
        done.left_out.append(f"each row's time of {stream.name}: only begin and rate are kept")
    for number, (first, end) in enumerate(pairwise(cuts), start=1):
        label = stream.name if len(cuts) == 2 else f"{stream.name}_{number:03d}"
        began = datetime.fromtimestamp(int(times[first]) // 10**9, UTC)
        micros = int(times[first]) % 10**9 // 1000
        yield Stretch(first, end, began.replace(microsecond=micros), label)


def new_path(directory: Path, stretch: Stretch, suffix: str) -> Path:
    """Where a stretch goes; refused where another stream's stretch is called the same."""
    path = directory / f"{file_name(stretch.label)}.{suffix}"
    if path.exists():
        raise RecordingError(
            f"each stretch needs a file of its own, and {path.name!r} is that of another stream; "
            f"export the streams one by one"
        )
    return path


def block(stream: RecordedStream, stretch: Stretch) -> Array:
    """The stretch's values as stored, [rows, channels]."""
    return stream.values(SAMPLES, stretch.first, stretch.end)
