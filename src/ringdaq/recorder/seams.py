"""Where the parts of a rotated recording meet: each begins exactly where the one before ended.

The daemon reads where the rings are, and the recorder hears of it a moment later.
It may have read further by then, and what is durable stays where it is: the next part begins after.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.description import Description, parse_description
from ringdaq.recorder.journal import DirectoryLock
from ringdaq.recorder.resume import resume
from ringdaq.recorder.seal import read_mark

Places = Mapping[str, tuple[int, int]]
"""By generation: a record's sequence, and how many rows the ring had before it."""


def begin_at(description: Description, places: Places) -> Description:
    """The same recording, of which no stream begins, or ends, before its place."""
    streams = description.plain["streams"]
    later = [_not_before(stream, places.get(stream["generation"])) for stream in streams]
    if later == streams:
        return description
    return parse_description({**description.plain, "streams": later})


def _not_before(stream: Mapping[str, Any], place: tuple[int, int] | None) -> Mapping[str, Any]:
    if place is None or stream["start_sequence"] >= place[0]:
        return stream
    moved = {**stream, "start_sequence": place[0], "start_rows": place[1]}
    end = stream.get("end_sequence")
    if end is not None and end < place[0]:
        moved |= {"end_sequence": place[0], "end_rows": place[1]}
    return moved


def beginnings(described: Mapping[str, Any]) -> Places:
    """Where the streams of a recording begin, as its journal says."""
    return {
        stream["generation"]: (stream["start_sequence"], stream["start_rows"])
        for stream in described.get("streams") or ()
    }


def ends(ledger: Ledger) -> Places:
    """Where the books of a recording stand, and with them its streams if it is over."""
    begun = beginnings(ledger.description)
    return {
        opened.generation: (account.next_sequence, begun[opened.generation][1] + account.next_row)
        for index, opened in ledger.streams.items()
        if opened.generation in begun and (account := ledger.accounts.get(index))
    }


def ends_noted(directory: Path) -> Places:
    """Where a recording ended that nobody writes any more; empty where nothing is left of it.

    Raises `BlockingIOError` while somebody does, and `RecordingError` for what cannot be read.
    """
    if not directory.is_dir():
        return {}
    lock = DirectoryLock(directory)
    try:
        mark = read_mark(directory)
        if mark is not None:
            return {name: (place[0], place[1]) for name, place in mark.get("ends", {}).items()}
        found = resume(directory)
    finally:
        lock.close()
    return {} if found is None else ends(found.ledger)
