"""Recordings as a daemon's catalogue knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Differences = dict[str, list[Any]]
"""By name: what it is on the left and on the right; `None`: not there."""


@dataclass(frozen=True, slots=True)
class CataloguedStream:
    """One stream of a recording."""

    stream: str
    path: str
    """Its group in the file, below `/entry`."""
    kind: str
    instrument: str
    rows: int
    gap_rows: int
    first_nanos: int
    last_nanos: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One recording."""

    recording_id: str
    run_id: str
    file: str
    """On the daemon's machine."""
    title: str
    script: str
    user: str
    state: str
    """How the run ended; `running` while the file grows."""
    sealed: bool
    simulated: bool
    start_nanos: int
    end_nanos: int
    rows: int
    lost_rows: int
    size_bytes: int
    note: str
    tags: list[str]
    keys: dict[str, Any]
    parameters: dict[str, Any]
    streams: list[CataloguedStream]
    about: dict[str, Any]
    """Everything else that the file tells; empty in lists."""
    _documents: Callable[[str], Any] = field(repr=False, compare=False)

    def documents(self) -> Any:
        """The recording as Bluesky documents: pairs of name and document, one after the other.

        With the asyncio client they come by `async for`.
        """
        return self._documents(self.recording_id)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two recordings."""

    parameters: Differences
    settings: Differences
    versions: Differences
    keys: Differences
    script: list[str]
    """Lines of a unified diff; empty: the same."""
    rig: list[str]
