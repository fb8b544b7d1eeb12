"""Samples as EDF+ and BDF+ files: 16 or 24 bit integers with their calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.errors import MissingExtraError, RecordingError
from ringdaq.model import Channel

Array = npt.NDArray[Any]

RANGES = {"edf": (-32_768, 32_767), "bdf": (-8_388_608, 8_388_607)}
BITS = {"edf": 16, "bdf": 24}
FITTING = {"edf": ("int8", "uint8", "int16"), "bdf": ("int8", "uint8", "int16", "uint16")}
MAX_RECORD_SECS = 60


@dataclass(slots=True)
class EdfWritten:
    """What a file could not hold."""

    left_rows: int = 0
    """Rows at the end that make no whole data record."""
    rounded: list[str] = field(default_factory=list)
    """Channels that were rounded to the format's integers, between their least and greatest."""
    shifted: dict[str, float] = field(default_factory=dict)
    """Channels whose calibration does not fit into the header: how far off values may be."""


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """What a file says beside its samples."""

    rate: Fraction
    began: datetime
    equipment: str
    note: str


def edf_library() -> Any:
    """The module `edfio`; `MissingExtraError` where it is not installed."""
    try:
        import edfio
    except ImportError as error:
        raise MissingExtraError(
            "EDF and BDF files need edfio; install it with: pip install 'ringdaq[edf]'",
            extra="edf",
        ) from error
    return edfio


def data_record(rate: Fraction) -> tuple[Fraction, int]:
    """The shortest data record of whole samples whose duration can be written: seconds, rows."""
    rows, secs = rate.numerator, Fraction(rate.denominator)
    # A shorter record loses fewer rows at the end, as long as its duration can be written down.
    for parts in (10, 8, 5, 4, 2):
        if rows % parts == 0 and len(repr(float(secs / parts))) <= 8:
            return secs / parts, rows // parts
    if secs > MAX_RECORD_SECS:
        raise RecordingError(
            f"EDF needs data records of whole samples; at {rate} Hz one is {secs} s long"
        )
    return secs, rows


def write_edf_file(
    path: Path, header: EdfHeader, channels: Sequence[Channel], values: Array
) -> EdfWritten:
    """Write stored values [rows, channels] as EDF+ or BDF+, by the path's suffix."""
    edfio = edf_library()
    suffix = path.suffix[1:].lower()
    record_secs, record_rows = data_record(header.rate)
    whole = len(values) // record_rows * record_rows
    if not whole:
        raise RecordingError(
            f"an EDF file needs a data record of {record_rows} rows at least; found {len(values)}: "
            f"{path}"
        )
    done = EdfWritten(left_rows=len(values) - whole)
    signals = [
        _checked_signal(suffix, channel, values[:whole, place], float(header.rate), done)
        for place, channel in enumerate(channels)
    ]
    made = (edfio.Edf if suffix == "edf" else edfio.Bdf)(
        signals,
        recording=edfio.Recording(
            startdate=header.began.date(), equipment_code=_code(header.equipment)
        ),
        starttime=header.began.time(),
        data_record_duration=float(record_secs),
        annotations=[edfio.EdfAnnotation(0, None, header.note)],
    )
    _write_new(path, made)
    return done


def _write_new(path: Path, made: Any) -> None:
    """Write a file that is not there; a disk that is full leaves none that only looks whole."""
    with path.open("xb") as file:
        try:
            made.write(file)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def mark_missing(values: Array, channels: Sequence[Channel]) -> tuple[Array, int]:
    """Values [rows, channels] with a mark for each number that is none, and how many those are.

    EDF knows no such numbers. A mark stands for less than all else of its channel, by a thousandth
    of the channel's range.
    """
    missing = ~np.isfinite(values)
    found = int(np.count_nonzero(missing))
    marked = np.array(values) if found else values
    for place, channel in enumerate(channels):
        here, column = missing[:, place], marked[:, place]
        if here.any():
            column[here] = _below(column[~here], channel.scale)
    return marked, found


def _below(numbers: Array, scale: float) -> float:
    """A number that stands for less than all of some others."""
    least, most = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 0.0)
    step = (float(most) - float(least)) / 1000 or abs(float(most)) / 1000 or 1e-6
    return float(least) - step if scale > 0 else float(most) + step


def _checked_signal(
    suffix: str, channel: Channel, stored: Array, rate: float, done: EdfWritten
) -> Any:
    try:
        return _signal(suffix, channel, stored, rate, done)
    except ValueError as error:
        raise RecordingError(
            f"EDF needs finite values whose least and greatest differ and fit into eight "
            f"characters each; the channel {channel.name!r} has others ({error}); give it another "
            f"unit or scale, or use a format that keeps numbers as they are, such as Parquet"
        ) from error


def _signal(suffix: str, channel: Channel, stored: Array, rate: float, done: EdfWritten) -> Any:
    edfio = edf_library()
    kind = edfio.EdfSignal if suffix == "edf" else edfio.BdfSignal
    facts = {
        "label": _ascii(channel.name)[:16],
        "physical_dimension": _ascii(channel.unit)[:8],
    }
    low, high = RANGES[suffix]
    if channel.dtype in FITTING[suffix] or _fits(stored, low, high):
        if channel.dtype in FITTING[suffix]:
            # Small ends fit into the header's eight characters, so the calibration stays exact.
            low, high = int(np.iinfo(channel.dtype).min), int(np.iinfo(channel.dtype).max)
        low, high = _range_that_fits(channel, stored, low, high)
        ends = _ends(channel, low, high)
        digital = stored.astype(np.int16 if suffix == "edf" else np.int32)
        signal = kind.from_digital(
            digital, rate, physical_range=ends, digital_range=(low, high), **facts
        )
        off = max(abs(held - end) for held, end in zip(signal.physical_range, ends, strict=True))
        if off > abs(channel.scale) / 2:
            done.shifted[channel.name] = off
        return signal
    done.rounded.append(channel.name)
    return kind(stored * channel.scale + channel.offset, rate, **facts)


def _ends(channel: Channel, low: int, high: int) -> tuple[float, float]:
    return low * channel.scale + channel.offset, high * channel.scale + channel.offset


def _range_that_fits(channel: Channel, stored: Array, low: int, high: int) -> tuple[int, int]:
    """The range as it is, or what occurs of it where its ends are longer than eight characters."""
    if all(-1e7 < end < 1e8 for end in _ends(channel, low, high)):
        return low, high
    least, most = int(stored.min()), int(stored.max())
    if least < most:
        return least, most
    return (least, least + 1) if least < high else (least - 1, least)


def _fits(stored: Array, low: int, high: int) -> bool:
    return stored.dtype.kind in "iu" and bool(stored.min() >= low and stored.max() <= high)


def _ascii(text: str) -> str:
    return text.replace("µ", "u").encode("ascii", "replace").decode()


def _code(instrument: str) -> str:
    return _ascii(instrument).replace(" ", "_")[:20] or "X"
