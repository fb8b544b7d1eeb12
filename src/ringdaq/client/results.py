"""What a daemon tells its clients, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringdaq.errors import MissingExtraError, RingdaqError, from_wire
from ringdaq.model import RunState, StreamSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ScriptInfo:
    """A stored script."""

    script_id: str
    name: str
    hash: str
    """SHA-256 of the text, in hexadecimal."""
    uploaded_nanos: int
    metadata: dict[str, str]
    parameters: str
    """What its `main` asks for, such as `stage: Movable['mm'], points: int = 5`."""


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """How much of one stream is in a run's file: produced = durable + gaps."""

    produced_rows: int
    durable_rows: int
    durable_records: int
    gap_rows: int
    gap_records: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Recording:
    """The file of a run."""

    file: str
    """On the daemon's machine."""
    state: str
    """`waiting`, `recording`, `sealed` or `failed`."""
    streams: dict[str, RecordedStream]
    error: dict[str, Any] | None
    """`{"class", "message", "details"}`, or `None`."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A piece of a run's output."""

    time_nanos: int
    line: int
    level: str
    """`debug`, `info`, `warning` or `error`."""
    text: str


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """A verb or a scan that a run used."""

    time_nanos: int
    """When it began."""
    line: int
    verb: str
    """`instrument.verb`, or a scan's name."""
    secs: float
    error: str
    """The class of its error, or `""`."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One execution of a script."""

    run_id: str
    script_id: str
    script_name: str
    state: RunState
    progress_percent: float | None
    """`None`: it cannot be told."""
    eta_secs: float | None
    """How long it will still take at the pace it had; `None`: it cannot be told."""
    current_line: int
    """Counted from 1; 0: none yet."""
    source_line: str
    error: dict[str, Any] | None
    """`{"class", "message", "details"}`, or `None`."""
    created_nanos: int
    started_nanos: int
    """0: not yet."""
    ended_nanos: int
    """0: not yet."""
    parameters: dict[str, Any]
    instruments: list[str]
    user: str
    output: str
    """The end of what the script printed."""
    recording: Recording | None
    """`None`: nothing is recorded."""
    script_hash: str
    """SHA-256 of the script's text."""
    live_values: dict[str, Any]
    """The newest values of its instruments and of what it emits, by `stream.channel`."""
    log: list[LogEntry]
    """The end of its output by pieces, the newest last."""
    trace: list[TraceEntry]
    """The verbs and scans it used last, the newest last."""
    throttled_secs: float
    """How long its verbs were held back in all, because they came too quickly."""

    @property
    def failure(self) -> RingdaqError | None:
        """The error that ended the run, ready to be raised."""
        return None if self.error is None else from_wire(self.error)


@dataclass(frozen=True, slots=True)
class RingStatistics:
    """How full a ring is and how far its writer has come."""

    records: int
    rows: int
    oldest_sequence: int
    next_sequence: int
    capacity_bytes: int
    used_bytes: int
    first_nanos: int
    last_nanos: int
    writer_alive: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream and the ring it lives in now."""

    name: str
    spec: StreamSpec
    path: str
    """On the daemon's machine."""
    generation: str
    statistics: RingStatistics | None


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """Something the daemon owns."""

    name: str
    driver: str
    connected: bool
    simulated: bool
    capabilities: list[str]
    verbs: list[str]
    unit: str
    limits: dict[str, tuple[float, float]]
    error: str
    """Why it is not connected, or `""`."""
    busy_with: str
    """Who holds it, or `""`."""


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """Which daemon answers."""

    version: str
    pid: int
    uptime_secs: float
    features: list[str]
    instruments: list[InstrumentInfo]
    rig: str
    data_directory: str
    """On the daemon's machine."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What the daemon does."""

    state: str
    """`idle`, `running` or `stopping`."""
    uptime_secs: float
    memory_bytes: int
    live_values: dict[str, Any]
    """The newest value of each channel, by `stream.channel`."""
    active_runs: list[str]
    time_nanos: int


@dataclass(frozen=True, slots=True)
class Points:
    """New points of one channel: `times[i]` belongs to `values[i]`."""

    times: np.ndarray[Any, np.dtype[np.int64]]
    """Nanoseconds since the epoch."""
    values: np.ndarray[Any, np.dtype[np.float64]] | list[str]
    unit: str
    dropped: int
    """Points lost since the batch before."""
    skipped: int
    """Points left out since the batch before, to keep to the rate."""


@dataclass(frozen=True, slots=True)
class MeasurementBatch:
    """What was measured since the batch before."""

    channels: dict[str, Points]
    """By `stream.channel`; only those with something new."""

    @property
    def dropped(self) -> int:
        """Points lost since the batch before, of all channels."""
        return sum(points.dropped for points in self.channels.values())


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """One record of a stream, as Arrow IPC messages."""

    stream: str
    generation: str
    sequence: int
    rows: int
    first_nanos: int
    last_nanos: int
    lost_records: int
    """Records lost since the batch before."""
    lost_rows: int
    schema: bytes = field(repr=False)
    """The schema message that goes before the record."""
    payload: bytes = field(repr=False)
    """The record batch message."""

    def to_arrow(self) -> pa.RecordBatch:
        """The record as a `pyarrow.RecordBatch`, without copying the columns."""
        try:
            import pyarrow as pa
        except ImportError as error:
            raise MissingExtraError(
                "reading Arrow batches needs pyarrow; "
                "install it with: pip install 'ringdaq[arrow]'",
                extra="arrow",
            ) from error
        return pa.ipc.read_record_batch(
            pa.py_buffer(self.payload), pa.ipc.read_schema(pa.py_buffer(self.schema))
        )
