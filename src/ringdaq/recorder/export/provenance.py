"""What goes along with every export: where the values come from, and what is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.recorder.readback import RecordedFile, RecordedStream


def provenance(file: RecordedFile) -> dict[str, Any]:
    """Everything that is known of the run, and the table of gaps."""
    return {
        "exported_by": f"ringdaq {__version__}",
        "exported_from": str(file.path.resolve()),
        **file.about(),
        "gaps": file.gaps(),
    }


def stream_facts(stream: RecordedStream) -> dict[str, Any]:
    """What a stream is, as plain values."""
    return {**stream.spec.to_dict(), "rows": stream.rows, "gap_rows": stream.gap_rows}


def to_json(value: Any) -> str:
    """As JSON; what has no place in it becomes text."""
    return json.dumps(value, ensure_ascii=False, default=str, indent=1)


def write_about(file: RecordedFile, streams: list[RecordedStream], directory: Path) -> list[Path]:
    """`about.json`: the run, its streams with their units, its gaps."""
    path = directory / "about.json"
    about = provenance(file) | {"streams": {s.name: stream_facts(s) for s in streams}}
    path.write_text(to_json(about))
    return [path]


def file_name(name: str) -> str:
    """A stream's group as the name of a file."""
    return name.replace("/", "_")
