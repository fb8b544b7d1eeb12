"""EDF+ and BDF+: samples as 16 or 24 bit integers with their calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ringdaq.edf import BITS, EdfHeader, EdfWritten, edf_library, write_edf_file
from ringdaq.errors import RecordingError
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import write_about
from ringdaq.recorder.export.segments import Stretch, block, new_path, sample_streams, stretches
from ringdaq.recorder.readback import RecordedFile, RecordedStream


def write_edf(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.edf` of 16 bits."""
    return _write(file, streams, directory, "edf")


def write_bdf(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.bdf` of 24 bits."""
    return _write(file, streams, directory, "bdf")


def _write(
    file: RecordedFile, streams: Sequence[RecordedStream], directory: Path, suffix: str
) -> Exported:
    edf_library()
    done = Exported(write_about(file, list(streams), directory))
    for stream in sample_streams(file, streams, done):
        for stretch in stretches(file, stream, done):
            path = new_path(directory, stretch, suffix)
            write_stretch(file, stream, stretch, path, done)
            done.files.append(path)
    return done


def write_stretch(
    file: RecordedFile, stream: RecordedStream, stretch: Stretch, path: Path, done: Exported
) -> None:
    """One unbroken stretch of samples as EDF+ or BDF+, by the path's suffix."""
    rate = stream.spec.sample_rate
    assert rate is not None
    note = f"ringdaq {file.path.name}"
    header = EdfHeader(rate, stretch.began, stream.spec.instrument, note)
    try:
        written = write_edf_file(path, header, stream.spec.channels, block(stream, stretch))
    except RecordingError as error:
        raise RecordingError(f"{stretch.label!r}: {error}") from error
    done.left_out += [
        words for words in _losses(stream, stretch, path, written) if words not in done.left_out
    ]


def _losses(
    stream: RecordedStream, stretch: Stretch, path: Path, written: EdfWritten
) -> Iterator[str]:
    channels = {channel.name: channel for channel in stream.spec.channels}
    if written.left_rows:
        yield f"the last {written.left_rows} rows of {stretch.label}: no whole data record"
    for name in written.rounded:
        yield (
            f"digits of {stream.name}/{name}: {channels[name].dtype} is rounded to "
            f"{BITS[path.suffix[1:]]} bits between its least and its greatest value"
        )
    for name, off in written.shifted.items():
        words = f"values are off by up to {off:.2g} {channels[name].unit}".rstrip()
        yield f"the calibration of {stream.name}/{name} beyond eight characters: {words}"
