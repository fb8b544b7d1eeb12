"""MATLAB: one file of version 5, a structure a stream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.errors import MissingExtraError, RecordingError
from ringdaq.model import SAMPLES
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import provenance, stream_facts, to_json
from ringdaq.recorder.readback import RecordedFile, RecordedStream

MAX_BYTES = (1 << 31) - 1
MAX_NAME = 31


def write_mat(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`run.mat`: `run` as JSON text, then a structure a stream with `time` (int64 ns)."""
    try:
        from scipy.io import savemat
    except ImportError as error:
        raise MissingExtraError(
            "MATLAB files need scipy; install it with: pip install 'ringdaq[mat]'", extra="mat"
        ) from error
    path = directory / "run.mat"
    values: dict[str, Any] = {"run": to_json(provenance(file))}
    for stream in streams:
        values[_name(stream.name, values)] = _structure(stream)
    savemat(path, values, do_compression=True, long_field_names=True, oned_as="column")
    return Exported([path])


def _structure(stream: RecordedStream) -> dict[str, Any]:
    made: dict[str, Any] = {"stream": to_json(stream_facts(stream)), "time": stream.times()}
    spec = stream.spec
    if spec.kind == "samples":
        return made | {
            "samples": _checked(stream, SAMPLES),
            "channels": np.array([c.name for c in spec.channels], dtype=object),
            "units": np.array([c.unit for c in spec.channels], dtype=object),
            "scale": np.array([c.scale for c in spec.channels]),
            "offset": np.array([c.offset for c in spec.channels]),
            "sample_rate": float(spec.sample_rate or 0),
        }
    for channel in spec.channels:
        name = _name(channel.name, made)
        made[name] = _checked(stream, channel.name)
        made[_name(f"{name[:20]}_units", made)] = channel.unit
        missing = stream.missing(channel.name)
        if missing is not None:
            made[_name(f"{name[:20]}_missing", made)] = missing
    return made


def _checked(stream: RecordedStream, column: str) -> Any:
    dataset = stream.dataset(column)
    size = stream.rows * int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
    if size > MAX_BYTES:
        raise RecordingError(
            f"a variable of a MATLAB file has up to {MAX_BYTES} bytes; {stream.name}/{column} has "
            f"{size}: MATLAB's h5read opens the recording itself"
        )
    return stream.values(column)


def _name(text: str, taken: dict[str, Any]) -> str:
    """A name as MATLAB takes it, not taken yet."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", text)
    safe = (safe if safe[:1].isalpha() else f"x{safe}")[: MAX_NAME - 3]
    number = 1
    while safe in taken:
        number += 1
        safe = f"{safe.rstrip('0123456789')}{number}"
    return safe
