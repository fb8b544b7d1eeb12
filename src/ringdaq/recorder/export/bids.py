"""EEG-BIDS: a data set of one subject, with the sidecars that the standard asks for."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringdaq.recorder.export import brainvision
from ringdaq.recorder.export.formats import Exported
from ringdaq.recorder.export.provenance import provenance, stream_facts, to_json
from ringdaq.recorder.export.segments import Stretch, sample_streams, stretches
from ringdaq.recorder.readback import RecordedFile, RecordedStream

VERSION = "1.10.0"
SUBJECT = "sub-01"


def write_bids(file: RecordedFile, streams: Sequence[RecordedStream], directory: Path) -> Exported:
    """`sub-01/eeg/…` in BrainVision form, and `sourcedata/run.json` with all that is known."""
    done = Exported()
    folder = directory / SUBJECT / "eeg"
    folder.mkdir(parents=True)
    about = file.about()
    _text(directory / "README", _readme(file, about), done)
    _json(directory / "dataset_description.json", _description(about), done)
    _table(directory / "participants.tsv", ["participant_id"], [[SUBJECT]], done)
    kept = sample_streams(file, streams, done)
    for stream, label in zip(kept, _labels(kept, done), strict=True):
        for number, stretch in enumerate(stretches(file, stream, done), start=1):
            names = f"task-{_label(about['title'])}_acq-{label}"
            base = f"{SUBJECT}_{names}_run-{number:02d}"
            _write_stretch(file, stream, stretch, folder, base, about, done)
    source = directory / "sourcedata"
    source.mkdir()
    known = provenance(file) | {"streams": {s.name: stream_facts(s) for s in streams}}
    _json(source / "run.json", known, done)
    return done


def _write_stretch(
    file: RecordedFile,
    stream: RecordedStream,
    stretch: Stretch,
    folder: Path,
    base: str,
    about: dict[str, Any],
    done: Exported,
) -> None:
    done.files += brainvision.write_stretch(file, stream, stretch, folder, f"{base}_eeg")
    channels = stream.spec.channels
    rate = float(stream.spec.sample_rate or 0)
    _json(folder / f"{base}_eeg.json", _sidecar(stream, stretch, rate, about), done)
    rows = [[c.name, "EEG" if c.unit.endswith("V") else "MISC", c.unit or "n/a", rate]
            for c in channels]  # fmt: skip
    heading = ["name", "type", "units", "sampling_frequency"]
    _table(folder / f"{base}_channels.tsv", heading, rows, done)
    _table(folder / f"{base}_events.tsv", ["onset", "duration", "trial_type"], [], done)


def _sidecar(
    stream: RecordedStream, stretch: Stretch, rate: float, about: dict[str, Any]
) -> dict[str, Any]:
    return {
        "TaskName": _label(about["title"]),
        "SamplingFrequency": rate,
        "PowerLineFrequency": "n/a",
        "SoftwareFilters": "n/a",
        "EEGReference": "n/a",
        "EEGChannelCount": sum(c.unit.endswith("V") for c in stream.spec.channels),
        "MiscChannelCount": sum(not c.unit.endswith("V") for c in stream.spec.channels),
        "RecordingDuration": (stretch.end - stretch.first) / rate,
        "RecordingType": "continuous",
        "ManufacturersModelName": stream.spec.instrument,
        "Simulated": stream.spec.simulated,
    }


def _description(about: dict[str, Any]) -> dict[str, Any]:
    return {
        "Name": about["title"] or about["recording_id"],
        "BIDSVersion": VERSION,
        "DatasetType": "raw",
        "Authors": [about["user"]] if about["user"] else ["n/a"],
        "GeneratedBy": [{"Name": "ringdaq", "Version": about["versions"].get("ringdaq", "n/a")}],
    }


def _readme(file: RecordedFile, about: dict[str, Any]) -> str:
    return (
        f"Recording {about['recording_id']}, exported from {file.path.name}.\n"
        "Who was recorded, where, and for what is not known to ringdaq: complete it here.\n"
    )


def _label(text: str) -> str:
    """A BIDS label: letters and digits only."""
    return re.sub(r"[^A-Za-z0-9]", "", text) or "run"


def _labels(streams: Sequence[RecordedStream], done: Exported) -> list[str]:
    """A label a stream, each once, also where a file system takes `A` for `a`."""
    taken: dict[str, str] = {}
    for stream in streams:
        plain = label = _label(stream.name)
        number = 1
        while label.lower() in taken:
            number += 1
            label = f"{plain}x{number}"
        if number > 1:
            done.left_out.append(f"the name {stream.name}: its label would be another's; {label}")
        taken[label.lower()] = label
    return [*taken.values()]


def _text(path: Path, text: str, done: Exported) -> None:
    path.write_text(text)
    done.files.append(path)


def _json(path: Path, value: Any, done: Exported) -> None:
    _text(path, to_json(value), done)


def _table(path: Path, heading: list[str], rows: list[list[Any]], done: Exported) -> None:
    with path.open("w", newline="") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(heading)
        table.writerows(rows)
    done.files.append(path)
