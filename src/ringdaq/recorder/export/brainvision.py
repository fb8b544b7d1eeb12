"""BrainVision Core: header, markers and samples as float32 in the channels' units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.errors import MissingExtraError
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import write_about
from ringdaq.recorder.export.segments import Stretch, block, new_path, sample_streams, stretches
from ringdaq.recorder.readback import RecordedFile, RecordedStream

VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "nV": 1e-9}
WRITTEN = {"uV": "µV"}


def write_brainvision(
    file: RecordedFile, streams: Sequence[RecordedStream], directory: Path
) -> Exported:
    """`STREAM.vhdr`, `.vmrk` and `.eeg`."""
    done = Exported(write_about(file, list(streams), directory))
    for stream in sample_streams(file, streams, done):
        for stretch in stretches(file, stream, done):
            base = new_path(directory, stretch, "vhdr").stem
            done.files += write_stretch(file, stream, stretch, directory, base)
    return done


def write_stretch(
    file: RecordedFile, stream: RecordedStream, stretch: Stretch, directory: Path, base: str
) -> list[Path]:
    """One unbroken stretch; returns its three files, the header first."""
    try:
        import pybv
    except ImportError as error:
        raise MissingExtraError(
            "BrainVision files need pybv; install it with: pip install 'ringdaq[brainvision]'",
            extra="brainvision",
        ) from error
    channels = stream.spec.channels
    units = [channel.unit or "n/a" for channel in channels]
    # pybv takes voltages in volts, and everything else as it is.
    scale = np.array([c.scale * VOLTS.get(c.unit, 1.0) for c in channels])
    offset = np.array([c.offset * VOLTS.get(c.unit, 1.0) for c in channels])
    pybv.write_brainvision(
        data=(block(stream, stretch) * scale + offset).T,
        sfreq=float(stream.spec.sample_rate or 0),
        ch_names=[_ascii(channel.name) for channel in channels],
        fname_base=base,
        folder_out=str(directory),
        events=_marker(file),
        resolution=1.0,
        unit=[WRITTEN.get(unit, unit) for unit in units],
        fmt="binary_float32",
        meas_date=stretch.began,
    )
    return [directory / f"{base}.{suffix}" for suffix in ("vhdr", "vmrk", "eeg")]


def _marker(file: RecordedFile) -> list[dict[str, Any]]:
    return [{"onset": 0, "description": f"ringdaq {file.path.name}", "type": "Comment"}]


def _ascii(name: str) -> str:
    return name.replace(",", ";")
