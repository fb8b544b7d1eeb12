"""What the daemon says of a recording, taken apart and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError
from ringdaq.model import StreamSpec

# What each description must say; the rest may be missing.
REQUIRED = ("recording_id", "directory", "file", "streams")


@dataclass(frozen=True, slots=True)
class Source:
    """One generation of a stream: which ring, and which of its records belong to the recording."""

    path: Path
    generation: str
    spec: StreamSpec
    start_sequence: int
    start_rows: int
    """Rows the ring had before `start_sequence`."""
    end_sequence: int | None = None
    """One after the last record; `None` while the recording goes on."""
    end_rows: int | None = None
    missed: str = ""
    """Why rows are missing before the first record; `start_rows` is as many below 0."""

    @property
    def produced_rows(self) -> int | None:
        """Rows between start and end, once the end is known."""
        return None if self.end_rows is None else self.end_rows - self.start_rows


@dataclass(frozen=True, slots=True)
class Description:
    """A recording as the daemon describes it."""

    recording_id: str
    run_id: str
    directory: Path
    file: Path
    sources: tuple[Source, ...]
    end: Mapping[str, Any] | None
    plain: Mapping[str, Any] = field(repr=False)
    """The whole of it, for the manifest."""


def parse_description(plain: Mapping[str, Any]) -> Description:
    """Take a description apart; raises `RecordingError` where something is missing."""
    missing = [key for key in REQUIRED if key not in plain]
    if missing:
        raise RecordingError(
            f"a recording's description needs {', '.join(REQUIRED)}; missing: {', '.join(missing)}"
        )
    return Description(
        recording_id=str(plain["recording_id"]),
        run_id=str(plain.get("run_id") or ""),
        directory=Path(plain["directory"]),
        file=Path(plain["file"]),
        sources=tuple(parse_source(stream) for stream in plain["streams"]),
        end=plain.get("end"),
        plain=plain,
    )


def parse_source(plain: Mapping[str, Any]) -> Source:
    """One of a description's streams."""
    spec = plain["spec"]
    return Source(
        path=Path(plain["path"]),
        generation=str(plain["generation"]),
        spec=spec if isinstance(spec, StreamSpec) else StreamSpec.from_dict(spec),
        start_sequence=int(plain["start_sequence"]),
        start_rows=int(plain["start_rows"]),
        end_sequence=plain.get("end_sequence"),
        end_rows=plain.get("end_rows"),
        missed=str(plain.get("missed") or ""),
    )
