"""EDF+ and BDF+: samples as 16 or 24 bit integers with their calibration."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.errors import MissingExtraError, RecordingError
from ringdaq.model import Channel
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import file_name, write_about
from ringdaq.recorder.export.segments import Stretch, block, sample_streams, stretches
from ringdaq.recorder.readback import Array, RecordedFile, RecordedStream

RANGES = {"edf": (-32_768, 32_767), "bdf": (-8_388_608, 8_388_607)}
FITTING = {"edf": ("int8", "uint8", "int16"), "bdf": ("int8", "uint8", "int16", "uint16")}
MAX_RECORD_SECS = 60


def _edfio() -> Any:
    try:
        import edfio
    except ImportError as error:
        raise MissingExtraError(
            "EDF and BDF files need edfio; install it with: pip install 'ringdaq[edf]'",
            extra="edf",
        ) from error
    return edfio


def write_edf(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.edf` of 16 bits."""
    return _write(file, streams, directory, "edf")


def write_bdf(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`STREAM.bdf` of 24 bits."""
    return _write(file, streams, directory, "bdf")


def _write(
    file: RecordedFile, streams: Sequence[RecordedStream], directory: Path, suffix: str
) -> Exported:
    _edfio()
    done = Exported(write_about(file, list(streams), directory))
    for stream in sample_streams(file, streams, done):
        for stretch in stretches(file, stream, done):
            path = directory / f"{file_name(stretch.label)}.{suffix}"
            write_stretch(file, stream, stretch, path, done)
            done.files.append(path)
    return done


def write_stretch(
    file: RecordedFile, stream: RecordedStream, stretch: Stretch, path: Path, done: Exported
) -> None:
    """One unbroken stretch of samples as EDF+ or BDF+, by the path's suffix."""
    edfio = _edfio()
    suffix = path.suffix[1:]
    record_secs, record_rows = _record(stream, stretch)
    values = block(stream, stretch)
    whole = len(values) // record_rows * record_rows
    if whole < len(values):
        done.left_out.append(
            f"the last {len(values) - whole} rows of {stretch.label}: no whole data record"
        )
    if not whole:
        raise RecordingError(
            f"{stretch.label!r} has {len(values)} rows, less than a data record of {record_rows}: "
            f"{file.path}"
        )
    kind = edfio.EdfSignal if suffix == "edf" else edfio.BdfSignal
    rate = float(stream.spec.sample_rate or 0)
    signals = [
        _signal(kind, suffix, channel, values[:whole, place], rate, stream, done)
        for place, channel in enumerate(stream.spec.channels)
    ]
    made = (edfio.Edf if suffix == "edf" else edfio.Bdf)(
        signals,
        recording=edfio.Recording(
            startdate=stretch.began.date(), equipment_code=_code(stream.spec.instrument)
        ),
        starttime=stretch.began.time(),
        data_record_duration=float(record_secs),
        annotations=[edfio.EdfAnnotation(0, None, f"ringdaq {file.path.name}")],
    )
    made.write(path)


def _record(stream: RecordedStream, stretch: Stretch) -> tuple[Fraction, int]:
    """The shortest data record of whole samples: seconds, rows."""
    rate = stream.spec.sample_rate
    assert rate is not None
    rows = rate.numerator
    secs = Fraction(rate.denominator)
    # A shorter record loses fewer rows at the end, as long as its duration can be written down.
    for parts in (10, 8, 5, 4, 2):
        if rows % parts == 0 and len(repr(float(secs / parts))) <= 8:
            return secs / parts, rows // parts
    if secs > MAX_RECORD_SECS or stretch.end - stretch.first < rows:
        raise RecordingError(
            f"EDF needs data records of whole samples; at {rate} Hz one is {secs} s long"
        )
    return secs, rows


def _signal(
    kind: Any,
    suffix: str,
    channel: Channel,
    stored: Array,
    rate: float,
    stream: RecordedStream,
    done: Exported,
) -> Any:
    facts = {
        "label": _ascii(channel.name)[:16],
        "physical_dimension": _ascii(channel.unit)[:8],
    }
    low, high = RANGES[suffix]
    if channel.dtype in FITTING[suffix] or _fits(stored, low, high):
        if channel.dtype in FITTING[suffix]:
            # Small ends fit into the header's eight characters, so the calibration stays exact.
            low, high = int(np.iinfo(channel.dtype).min), int(np.iinfo(channel.dtype).max)
        ends = low * channel.scale + channel.offset, high * channel.scale + channel.offset
        digital = stored.astype(np.int16 if suffix == "edf" else np.int32)
        return kind.from_digital(
            digital, rate, physical_range=ends, digital_range=(low, high), **facts
        )
    done.left_out.append(
        f"digits of {stream.name}/{channel.name}: {channel.dtype} is rounded to "
        f"{16 if suffix == 'edf' else 24} bits between its least and its greatest value"
    )
    return kind(stored * channel.scale + channel.offset, rate, **facts)


def _fits(stored: Array, low: int, high: int) -> bool:
    return stored.dtype.kind in "iu" and bool(stored.min() >= low and stored.max() <= high)


def _ascii(text: str) -> str:
    return text.replace("µ", "u").encode("ascii", "replace").decode()


def _code(instrument: str) -> str:
    return _ascii(instrument).replace(" ", "_")[:20] or "X"
