"""An EDF or BDF file as streams of digital values: one for each sample rate in it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.errors import InstrumentError, MissingExtraError, NotConnectedError
from ringdaq.model import SAMPLES, TIME, Channel

_CHUNK_SECS = 1


@dataclass
class EdfGroup:
    """The signals of one sample rate."""

    rate: Fraction
    """Exact, in Hz, as recorded."""
    channels: tuple[Channel, ...]
    dtype: type[np.int16] | type[np.int32]
    total: int
    """Rows in the file."""
    signals: tuple[Any, ...]
    _chunk: npt.NDArray[Any] | None = None
    _chunk_first: int = 0

    def rows(self, first: int, rows: int) -> npt.NDArray[Any]:
        """Rows `first` to `first + rows`, [rows, channels]; after the last comes the first."""
        out = np.empty((rows, len(self.signals)), self.dtype)
        done = 0
        while done < rows:
            at = (first + done) % self.total
            part = self._part(at)[: rows - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    def _part(self, at: int) -> npt.NDArray[Any]:
        """Some rows from `at` on, out of a chunk that is read at a time."""
        chunk = self._chunk
        if chunk is None or not self._chunk_first <= at < self._chunk_first + len(chunk):
            chunk = self._read(at)
            self._chunk, self._chunk_first = chunk, at
        return chunk[at - self._chunk_first :]

    def _read(self, first: int) -> npt.NDArray[Any]:
        length = min(max(1, round(self.rate * _CHUNK_SECS)), self.total - first)
        start, stop = float(first / self.rate), float((first + length) / self.rate)
        columns = [signal.get_digital_slice(start, stop) for signal in self.signals]
        return np.stack(columns, axis=1)


@dataclass
class EdfFile:
    """What of a file is played."""

    groups: list[EdfGroup]
    notes: dict[str, str]
    """What is not played, or not as it stands."""
    annotations: tuple[tuple[Fraction, str], ...] = ()
    """When something was noted, in seconds from the file's beginning, and what."""


def open_edf(path: Path) -> EdfFile:
    """Read a file's header; the values are read as they are asked for.

    Raises a `NotConnectedError` for a file that is missing or damaged, an `InstrumentError` for one
    that cannot be played truly.
    """
    edf, warned = _read(path)
    if not edf.is_continuous:
        raise InstrumentError(
            f"only a recording without gaps can be played as one stream; this one has gaps "
            f"(EDF+D): cut out a part without any: {path}"
        )
    if not edf.signals:
        raise InstrumentError(f"a recording needs at least one signal to be played: {path}")
    duration = Fraction(str(edf.data_record_duration))
    rates = sorted({Fraction(s.samples_per_data_record) / duration for s in edf.signals})
    notes = {"file_warnings": "; ".join(warned)} if warned else {}
    if edf.annotations:
        notes["annotations"] = f"{len(edf.annotations)} not replayed"
    groups = [_group(edf, rate, duration) for rate in reversed(rates)]
    uncalibrated = [s.label for s in edf.signals if _calibration(s) is None]
    if uncalibrated:
        notes["uncalibrated"] = ", ".join(uncalibrated)
    noted = tuple((Fraction(str(one.onset)), one.text) for one in edf.annotations)
    return EdfFile(groups, notes, noted)


def _read(path: Path) -> tuple[Any, list[str]]:
    try:
        import edfio
    except ImportError:
        raise MissingExtraError(
            "reading EDF files needs edfio; install it with: pip install 'ringdaq[edf]'",
            extra="edf",
        ) from None
    try:
        with path.open("rb") as file:
            binary = file.read(1) == b"\xff"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            edf = edfio.read_bdf(path) if binary else edfio.read_edf(path)
    except OSError as error:
        raise NotConnectedError(f"the file cannot be read ({error.strerror}): {path}") from error
    except Exception as error:
        # edfio has no error class of its own: a damaged header fails in many ways.
        raise NotConnectedError(
            f"an EDF or BDF file was expected; this one cannot be understood "
            f"({type(error).__name__}: {error}): {path}"
        ) from error
    return edf, [str(w.message) for w in caught]


def _group(edf: Any, rate: Fraction, duration: Fraction) -> EdfGroup:
    signals = [s for s in edf.signals if s.samples_per_data_record / duration == rate]
    wide = type(edf).__name__ == "Bdf"
    dtype = "int32" if wide else "int16"
    names = unique_names([s.label for s in signals])
    return EdfGroup(
        rate=rate,
        channels=tuple(_channel(n, s, dtype) for n, s in zip(names, signals, strict=True)),
        dtype=np.int32 if wide else np.int16,
        total=signals[0].samples_per_data_record * edf.num_data_records,
        signals=tuple(signals),
    )


def _channel(name: str, signal: Any, dtype: str) -> Channel:
    calibration = _calibration(signal)
    scale, offset = calibration or (1.0, 0.0)
    said = [signal.transducer_type, signal.prefiltering]
    return Channel(
        name,
        dtype,
        unit=signal.physical_dimension if calibration else "",
        scale=scale,
        offset=offset,
        description="; ".join(filter(None, said)),
    )


def _calibration(signal: Any) -> tuple[float, float] | None:
    """Scale and offset from the header, as edfio has them; `None` where the header gives none."""
    digital = signal.digital_max - signal.digital_min
    physical = signal.physical_max - signal.physical_min
    if digital == 0 or physical == 0:
        return None
    scale = physical / digital
    return scale, (signal.physical_max / scale - signal.digital_max) * scale


def unique_names(labels: Sequence[str]) -> list[str]:
    """Labels as channel names: an empty one is numbered, one that is taken gets a number."""
    taken = {TIME, SAMPLES}
    names = []
    for index, label in enumerate(labels, start=1):
        name = base = label or f"channel {index}"
        number = 2
        while name in taken:
            name, number = f"{base} ({number})", number + 1
        taken.add(name)
        names.append(name)
    return names
