"""Makes a recording's HDF5 file anew from its journal alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError
from ringdaq.recorder.awaited import newest_description
from ringdaq.recorder.description import Description, parse_description
from ringdaq.recorder.entries import Manifest
from ringdaq.recorder.journal import DirectoryLock
from ringdaq.recorder.live import LiveFile
from ringdaq.recorder.scan import Damage, JournalReader
from ringdaq.recorder.verify import verify

PATIENCE_SECS = 2.0


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What was made of a journal."""

    recording_id: str
    run_id: str
    file: Path
    state: str
    """How the recording ended; `interrupted` if the journal does not say."""
    streams: dict[str, dict[str, int]]
    """The counters of each stream: produced, durable and lost rows."""
    damage: list[Damage]
    """Stretches of the journal that fail their checks, a torn tail included."""

    def to_plain(self) -> dict[str, Any]:
        """As plain values, for `--json`."""
        return {
            "recording_id": self.recording_id,
            "run_id": self.run_id,
            "file": str(self.file),
            "state": self.state,
            "streams": self.streams,
            "damage": [
                {"path": str(d.path), "start": d.start, "end": d.end, "reason": d.reason}
                for d in self.damage
            ],
        }


def recover(directory: Path, *, output: Path | None = None) -> RecoveryReport:
    """Rebuild the file of the journal in `directory`, at its own place or at `output`.

    What is damaged becomes a declared gap, and is never returned as data.
    Raises `RecordingError` when the journal holds no description, or a recorder writes it now.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise RecordingError(f"a journal is a directory of segments; found none: {directory}")
    lock = _lock(directory)
    try:
        return _rebuild(directory, output)
    finally:
        lock.close()


def _lock(directory: Path) -> DirectoryLock:
    """Hold the journal; a recorder that has just finished lets go of it in a moment."""
    deadline = time.monotonic() + PATIENCE_SECS
    while True:
        try:
            return DirectoryLock(directory)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RecordingError(
                    "a recorder writes this journal now; wait until the recording is over: "
                    f"{directory}"
                ) from None
        time.sleep(0.05)


def _rebuild(directory: Path, output: Path | None) -> RecoveryReport:
    description = find_description(directory)
    path = Path(output) if output is not None else _original_path(directory, description)
    journal = JournalReader(directory)
    live = LiveFile(path, description)
    try:
        for entry in journal.entries():
            live.take(entry.body)
        live.finish()
        for _ in verify(live, JournalReader(directory)):
            pass
        live.seal()
    finally:
        live.close()
    return RecoveryReport(
        recording_id=str(description["recording_id"]),
        run_id=str(description.get("run_id") or ""),
        file=path,
        state=str((live.ledger.end or {}).get("state") or "interrupted"),
        streams={name: c.to_plain() for name, c in live.counters().items()},
        damage=journal.damage,
    )


def find_description(directory: Path) -> Mapping[str, Any]:
    """The first description that the journal holds."""
    for entry in JournalReader(directory).entries():
        if isinstance(entry.body, Manifest):
            return entry.body.description
    raise RecordingError(
        "a journal has segments named 'segment-*.journal' and describes its recording in each; "
        f"found none that is whole: {directory}"
    )


def orphan_description(directory: Path) -> Description:
    """What is to be finished of a recording that nobody describes any more.

    The newest description knows the streams that came last, and the end if there was one.
    Raises `RecordingError` when the journal holds none.
    """
    plain = newest_description(directory) or find_description(directory)
    return parse_description({**plain, "directory": str(directory)})


def _original_path(directory: Path, description: Mapping[str, Any]) -> Path:
    path = Path(str(description["file"]))
    return path if path.parent.is_dir() else directory.parent / path.name
