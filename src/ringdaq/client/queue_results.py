"""What a daemon tells of its queue and of dry runs, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringdaq.errors import RingdaqError, from_wire
from ringdaq.model import RunState


@dataclass(frozen=True, slots=True)
class Violation:
    """A verb that was refused because of the rig's limits."""

    line: int
    instrument: str
    message: str


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """What a run would take, by the rig's simulated twin."""

    state: RunState
    error: dict[str, Any] | None
    """`{"class", "message", "details"}`, or `None`."""
    line: int
    """Where the script ended."""
    duration_secs: float
    points: int
    """Rows that the script emits, by itself or in scans."""
    verbs: int
    bytes: int
    """Of all that is recorded, before compression."""
    streams: dict[str, tuple[int, int]]
    """Rows and bytes by stream; the run's own is `run`."""
    violations: list[Violation]
    assumed: list[str]
    """What was taken for granted of instruments that are not simulated."""
    output: str

    @property
    def failure(self) -> RingdaqError | None:
        """The error that ended it, ready to be raised."""
        return None if self.error is None else from_wire(self.error)


@dataclass(frozen=True, slots=True)
class ExpectedRun:
    """What one run will take."""

    duration_secs: float
    points: int
    bytes: int


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A run that waits, or goes on."""

    entry_id: str
    script_id: str
    script_name: str
    parameters: dict[str, Any]
    instruments: list[str] | None
    """`None`: those that the script names."""
    repeat: int
    """How often it still runs."""
    on_failure: str
    """`stop` or `continue`."""
    user: str
    added_nanos: int
    running: bool
    run_id: str
    """Its newest run, or `""`."""
    expected: ExpectedRun | None
    """`None`: no dry run was made."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue."""

    paused: bool
    reason: str
    """Why it is paused, or what its first entry waits for."""
    entries: list[QueueEntry]
    """The next one first."""
