"""What is in a recorded file, in plain values."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError
from ringdaq.recorder import hdf5
from ringdaq.recorder.tables import Counters

TRIES = 5
PAUSE_SECS = 0.05


def describe_file(path: str | Path) -> dict[str, Any]:
    """Rows of each stream, gaps, and what was lost; the file may be growing.

    Raises `RecordingError` when it is no recording or cannot be opened.
    """
    return _patiently(Path(path), _describe)


def _patiently(path: Path, read: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Read without a lock; a flush that runs meanwhile can make one try in a hundred fail."""
    h5py = hdf5.h5py_module()
    if not path.is_file():
        raise RecordingError(f"a recording is an HDF5 file; found no file: {path}")
    reason = ""
    for attempt in range(TRIES):
        # HDF5 wants all openings in one process to be alike, and somebody may have it open here.
        locking = None if attempt % 2 else False
        try:
            with h5py.File(path, "r", locking=locking) as file:
                return {"file": str(path), **read(file)}
        except (OSError, RuntimeError, KeyError) as error:
            reason = str(error)
            time.sleep(PAUSE_SECS)
    raise RecordingError(f"the file cannot be read as a recording: {reason}: {path}")


def _describe(file: Any) -> dict[str, Any]:
    entry = file["entry"]
    streams = {name: _stream(group) for name, group in entry.items() if _is_stream(group)}
    gaps = _gaps(entry["gaps"])
    return {
        "recording_id": _text(entry["entry_identifier"]),
        "run_id": _text(entry["experiment_identifier"]),
        "title": _text(entry["title"]),
        "state": str(entry.attrs["state"]),
        "sealed": bool(entry.attrs["sealed"]),
        "start_time": _text(entry["start_time"]),
        "end_time": _text(entry["end_time"]),
        "streams": streams,
        "rows": sum(one["rows"] for one in streams.values()),
        "lost_rows": sum(one["gap_rows"] for one in streams.values()),
        "lost_records": sum(one["gap_records"] for one in streams.values()),
        "gaps": gaps,
    }


def _is_stream(group: Any) -> bool:
    return "stream" in group.attrs and "durable_rows" in group.attrs


def _stream(group: Any) -> dict[str, Any]:
    counters = {name: int(group.attrs[name]) for name in Counters.__dataclass_fields__}
    return {
        "stream": str(group.attrs["stream"]),
        "kind": str(group.attrs["kind"]),
        "instrument": str(group.attrs["instrument"]),
        "simulated": bool(group.attrs["simulated"]),
        "rows": int(group["time"].shape[0]),
        **counters,
    }


def _gaps(table: Any) -> list[dict[str, Any]]:
    columns = {name: column[:] for name, column in table.items()}
    return [
        {
            name: values[row].decode() if values.dtype.kind == "S" else int(values[row])
            for name, values in columns.items()
        }
        for row in range(min(map(len, columns.values())))
    ]


def _text(dataset: Any) -> str:
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else str(value)
