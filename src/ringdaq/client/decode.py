"""Messages of the contract as plain results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ringdaq.client.results import (
    DaemonInfo,
    InstrumentInfo,
    LogEntry,
    MeasurementBatch,
    Points,
    RecordedStream,
    Recording,
    RingStatistics,
    RunStatus,
    ScriptInfo,
    StreamBatch,
    StreamInfo,
    SystemStatus,
    TraceEntry,
)
from ringdaq.errors import ServiceError
from ringdaq.model import RunState, StreamSpec
from ringdaq.wire import from_error_detail, from_map

if TYPE_CHECKING:
    from ringdaq.v1 import control_pb2, data_pb2, instruments_pb2, types_pb2


def enum_word(name: str, prefix: str) -> str:
    """An enum value's name as the word that Python uses: `RUN_STATE_FAILED` → `failed`."""
    return name.removeprefix(prefix).lower()


def run_state(number: types_pb2.RunState.ValueType) -> RunState:
    """A run's state; raises `ServiceError` for one that this version does not know."""
    from ringdaq.v1 import types_pb2

    try:
        return RunState(enum_word(types_pb2.RunState.Name(number), "RUN_STATE_"))
    except ValueError:
        raise ServiceError(
            f"the daemon sent a run state that this client does not know: {number}; "
            "use the same version of ringdaq on both ends"
        ) from None


def _error(message: Any) -> dict[str, Any] | None:
    return from_error_detail(message.error) if message.HasField("error") else None


def script_info(message: types_pb2.ScriptInfo) -> ScriptInfo:
    """A stored script."""
    return ScriptInfo(
        script_id=message.script_id,
        name=message.name,
        hash=message.hash,
        uploaded_nanos=message.uploaded_nanos,
        metadata=dict(message.metadata),
        parameters=message.parameters,
    )


def run_status(message: types_pb2.ScriptStatus) -> RunStatus:
    """One run."""
    return RunStatus(
        run_id=message.execution_id,
        script_id=message.script_id,
        script_name=message.script_name,
        state=run_state(message.state),
        progress_percent=(
            message.progress_percent if message.HasField("progress_percent") else None
        ),
        eta_secs=message.eta_secs if message.HasField("eta_secs") else None,
        current_line=message.current_line,
        source_line=message.source_line,
        error=_error(message),
        created_nanos=message.created_nanos,
        started_nanos=message.started_nanos,
        ended_nanos=message.ended_nanos,
        parameters=from_map(message.parameters),
        instruments=list(message.instruments),
        user=message.user,
        output=message.output,
        recording=_recording(message.recording) if message.HasField("recording") else None,
        script_hash=message.script_hash,
        live_values=from_map(message.live_values),
        log=[LogEntry(e.time_nanos, e.line, e.level, e.text) for e in message.log],
        trace=[TraceEntry(e.time_nanos, e.line, e.verb, e.secs, e.error) for e in message.trace],
        throttled_secs=message.throttled_secs,
    )


def _recording(message: types_pb2.Recording) -> Recording:
    from ringdaq.v1 import types_pb2

    return Recording(
        file=message.file,
        state=enum_word(types_pb2.RecordingState.Name(message.state), "RECORDING_STATE_"),
        streams={name: _recorded_stream(s) for name, s in message.streams.items()},
        error=_error(message),
    )


def _recorded_stream(message: types_pb2.RecordedStream) -> RecordedStream:
    return RecordedStream(
        produced_rows=message.produced_rows,
        durable_rows=message.durable_rows,
        durable_records=message.durable_records,
        gap_rows=message.gap_rows,
        gap_records=message.gap_records,
        gaps=message.gaps,
    )


def stream_info(message: types_pb2.StreamInfo) -> StreamInfo:
    """A stream and its ring."""
    statistics = message.statistics if message.HasField("statistics") else None
    return StreamInfo(
        name=message.name,
        spec=StreamSpec.from_dict(_spec(message)),
        path=message.path,
        generation=message.generation,
        statistics=None if statistics is None else _statistics(statistics),
    )


def _spec(message: types_pb2.StreamInfo) -> dict[str, Any]:
    from ringdaq.v1 import types_pb2

    return {
        "name": message.name,
        "kind": enum_word(types_pb2.StreamKind.Name(message.kind), "STREAM_KIND_"),
        "channels": [_channel(c) for c in message.channels],
        "sample_rate": message.sample_rate or None,
        "instrument": message.instrument,
        "simulated": message.simulated,
        "metadata": dict(message.metadata),
    }


def _channel(message: types_pb2.Channel) -> dict[str, Any]:
    return {
        "name": message.name,
        "dtype": message.dtype,
        "unit": message.unit,
        "shape": list(message.shape),
        "scale": message.scale,
        "offset": message.offset,
        "description": message.description,
    }


def _statistics(message: types_pb2.RingStatistics) -> RingStatistics:
    return RingStatistics(
        records=message.records,
        rows=message.rows,
        oldest_sequence=message.oldest_sequence,
        next_sequence=message.next_sequence,
        capacity_bytes=message.capacity_bytes,
        used_bytes=message.used_bytes,
        first_nanos=message.first_nanos,
        last_nanos=message.last_nanos,
        writer_alive=message.writer_alive,
        closed=message.closed,
    )


def instrument_info(message: types_pb2.InstrumentInfo) -> InstrumentInfo:
    """An instrument."""
    return InstrumentInfo(
        name=message.name,
        driver=message.driver,
        connected=message.connected,
        simulated=message.simulated,
        capabilities=list(message.capabilities),
        verbs=list(message.verbs),
        unit=message.unit,
        limits={name: (limit.low, limit.high) for name, limit in message.limits.items()},
        error=message.error,
        busy_with=message.busy_with,
    )


def daemon_info(message: control_pb2.GetDaemonInfoResponse) -> DaemonInfo:
    """The daemon."""
    return DaemonInfo(
        version=message.version,
        pid=message.pid,
        uptime_secs=message.uptime_secs,
        features=list(message.features),
        instruments=[instrument_info(i) for i in message.instruments],
        rig=message.rig,
        data_directory=message.data_directory,
    )


def system_status(message: control_pb2.StreamStatusResponse) -> SystemStatus:
    """What the daemon does."""
    from ringdaq.v1 import control_pb2

    return SystemStatus(
        state=enum_word(control_pb2.SystemState.Name(message.state), "SYSTEM_STATE_"),
        uptime_secs=message.uptime_secs,
        memory_bytes=message.memory_bytes,
        live_values=from_map(message.live_values),
        active_runs=list(message.active_executions),
        time_nanos=message.time_nanos,
    )


def measurements(message: control_pb2.StreamMeasurementsResponse) -> MeasurementBatch:
    """New points by channel."""
    return MeasurementBatch({points.channel: _points(points) for points in message.channels})


def _points(message: control_pb2.ChannelPoints) -> Points:
    import numpy as np

    return Points(
        times=np.array(message.time_nanos, dtype=np.int64),
        values=list(message.texts) if message.texts else np.array(message.values, np.float64),
        unit=message.unit,
        dropped=message.dropped,
        skipped=message.skipped,
    )


def outcomes(message: instruments_pb2.PanicResponse) -> Mapping[str, str]:
    """How each instrument came to its safe state: `safe`, or why it may not be."""
    return {o.instrument: o.error or "safe" for o in message.outcomes}


def batches() -> Callable[[data_pb2.StreamBatchesResponse], StreamBatch | None]:
    """A decoder that remembers the schema its records belong to; `None` for the schema itself."""
    from ringdaq.v1 import data_pb2

    schema = data_pb2.RingSchema()

    def decode(message: data_pb2.StreamBatchesResponse) -> StreamBatch | None:
        if message.HasField("schema"):
            schema.CopyFrom(message.schema)
            return None
        return _stream_batch(schema, message.batch)

    return decode


def _stream_batch(schema: data_pb2.RingSchema, batch: data_pb2.RecordBatch) -> StreamBatch:
    return StreamBatch(
        stream=schema.stream,
        generation=schema.generation,
        schema=schema.arrow_schema,
        sequence=batch.sequence,
        rows=batch.rows,
        first_nanos=batch.first_nanos,
        last_nanos=batch.last_nanos,
        payload=batch.arrow_batch,
        lost_records=batch.lost_records,
        lost_rows=batch.lost_rows,
    )
