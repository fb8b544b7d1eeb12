"""The formats there are, and one call for all of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from ringdaq.errors import BadRequestError, RecordingError
from ringdaq.recorder.readback import RecordedFile, RecordedStream

FORMATS = MappingProxyType(
    {
        "parquet": "tables:write_parquet",
        "arrow": "tables:write_arrow",
        "csv": "csv_files:write_csv",
        "zarr": "zarr_store:write_zarr",
        "edf": "edf:write_edf",
        "bdf": "edf:write_bdf",
        "brainvision": "brainvision:write_brainvision",
        "bids": "bids:write_bids",
        "mat": "mat:write_mat",
    }
)


@dataclass(slots=True)
class Exported:
    """What was written."""

    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What the format cannot hold, in words."""


Write = Callable[[RecordedFile, Sequence[RecordedStream], Path], Exported]


def export(
    file: str | Path, to: str, output: str | Path, *, streams: Sequence[str] = ()
) -> Exported:
    """Write a recording into a new directory in another format.

    Raises `BadRequestError` for an unknown format or stream and `RecordingError` where nothing can
    be written; then nothing is left in the directory's place.
    """
    if to not in FORMATS:
        raise BadRequestError(f"a format must be one of {', '.join(FORMATS)}; found {to!r}")
    target = Path(output)
    if target.exists():
        raise BadRequestError(f"the export makes a new directory; there is something: {target}")
    with RecordedFile(file) as found:
        chosen = _chosen(found, streams)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            written = _writer(to)(found, chosen, draft)
            if not found.sealed:
                written.left_out.append("rows that came later: the recording is not sealed")
            draft.chmod(0o755)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    written.files = [target / path.relative_to(draft) for path in written.files]
    return written


def _writer(to: str) -> Write:
    module, name = FORMATS[to].split(":")
    write: Write = getattr(import_module(f"ringdaq.recorder.export.{module}"), name)
    return write


def _chosen(file: RecordedFile, streams: Sequence[str]) -> list[RecordedStream]:
    known = {stream.spec.name for stream in file.streams.values()} | {*file.streams}
    for name in streams:
        if name not in known:
            raise BadRequestError(
                f"the recording has no stream {name!r}; it has: {', '.join(sorted(known))}"
            )
    wanted = [
        one
        for name, one in file.streams.items()
        if not streams or name in streams or one.spec.name in streams
    ]
    if not wanted:
        raise RecordingError(f"the recording has no streams: {file.path}")
    return wanted
