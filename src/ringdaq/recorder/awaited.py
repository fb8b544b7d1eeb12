"""Which rings unfinished recordings may still have to be read out of."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ringdaq.errors import RecordingError
from ringdaq.recorder.entries import Manifest
from ringdaq.recorder.journal import segment_paths
from ringdaq.recorder.scan import JournalReader
from ringdaq.recorder.seal import MARK

log = logging.getLogger(__name__)


def awaited_rings(journals: Path, known: Collection[Path] = ()) -> set[Path]:
    """The rings of all recordings below `journals` that nobody has finished.

    Those of `known`, journals that somebody else looks after, are left out.
    """
    found: set[Path] = set()
    for journal in journals.iterdir() if journals.is_dir() else ():
        if journal not in known:
            found |= _rings(journal)
    return found


def _rings(journal: Path) -> set[Path]:
    """Those of one recording; none if it is finished, or cannot be read."""
    try:
        if (journal / MARK).exists():
            return set()
        description = newest_description(journal)
    except (OSError, RecordingError) as error:
        log.warning("nobody knows which rings a recording still needs: %s", error)
        return set()
    return {Path(stream["path"]) for stream in description.get("streams", ())}


def newest_description(journal: Path) -> Mapping[str, Any]:
    """What a journal says last of its recording; empty if it holds nothing whole.

    Each segment begins with a description, so the newest segment that is whole at its head will do.
    """
    for count in range(1, len(segment_paths(journal)) + 1):
        bodies = [entry.body for entry in JournalReader(journal, newest=count).entries()]
        found = [body.description for body in bodies if isinstance(body, Manifest)]
        if found:
            return found[-1]
    return {}
