"""What the daemon says on its control socket, as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ringdaq.errors import BadRequestError, ServiceError
from ringdaq.v1 import control_pb2, types_pb2
from ringdaq.wire import fill_values, to_error_detail

Plain = Mapping[str, Any]


def enum_number(wrapper: Any, prefix: str, word: str) -> Any:
    """The enum value for one of the daemon's words; raises `ServiceError` for an unknown one."""
    try:
        return wrapper.Value(f"{prefix}_{word.upper()}")
    except ValueError:
        raise ServiceError(
            f"the daemon said {word!r}, which the contract has no {prefix} for; "
            "use the same version of ringdaq for daemon and gateway"
        ) from None


def run_state(word: str) -> types_pb2.RunState.ValueType:
    """A run's state."""
    number: types_pb2.RunState.ValueType = enum_number(types_pb2.RunState, "RUN_STATE", word)
    return number


def state_word(number: types_pb2.RunState.ValueType) -> str | None:
    """The daemon's word for a run's state, or `None` for any; raises `BadRequestError`."""
    if number == types_pb2.RUN_STATE_UNSPECIFIED:
        return None
    return enum_word(types_pb2.RunState, "RUN_STATE", number)


def enum_word(wrapper: Any, prefix: str, number: int) -> str:
    """The daemon's word for a caller's enum value; raises `BadRequestError` for an unknown one."""
    if number not in wrapper.values():
        known = ", ".join(f"{value} ({name})" for name, value in wrapper.items())
        raise BadRequestError(f"a value of {prefix} is one of {known}; found {number}")
    word: str = wrapper.Name(number).removeprefix(f"{prefix}_").lower()
    return word


def _error(error: Any) -> types_pb2.ErrorDetail | None:
    if not error:
        return None
    if not isinstance(error, Mapping):
        error = {"class": "RingdaqError", "message": str(error), "details": {}}
    return to_error_detail(error)


def _texts(plain: Plain | None) -> dict[str, str]:
    return {str(k): str(v) for k, v in (plain or {}).items()}


def script_info(plain: Plain) -> types_pb2.ScriptInfo:
    """A stored script."""
    return types_pb2.ScriptInfo(
        script_id=plain["script_id"],
        name=plain["name"],
        hash=plain.get("hash", ""),
        uploaded_nanos=plain.get("uploaded_nanos") or 0,
        metadata=_texts(plain.get("metadata")),
        parameters=plain.get("parameters", ""),
    )


def script_status(run: Plain) -> types_pb2.ScriptStatus:
    """A run."""
    status = types_pb2.ScriptStatus(
        execution_id=run["run_id"],
        script_id=run["script_id"],
        script_name=run.get("script_name") or "",
        state=run_state(run["state"]),
        progress_percent=run.get("progress_percent"),
        eta_secs=run.get("eta_secs"),
        current_line=run.get("current_line") or 0,
        source_line=run.get("source_line") or "",
        error=_error(run.get("error")),
        created_nanos=run.get("created_nanos") or 0,
        started_nanos=run.get("started_nanos") or 0,
        ended_nanos=run.get("ended_nanos") or 0,
        instruments=run.get("instruments") or [],
        user=run.get("user") or "",
        output=run.get("output") or "",
        recording=_recording(run.get("recording")),
        script_hash=run.get("script_hash") or "",
        log=[types_pb2.LogEntry(**entry) for entry in run.get("log") or []],
        trace=[types_pb2.TraceEntry(**entry) for entry in run.get("trace") or []],
        throttled_secs=run.get("throttled_secs") or 0.0,
    )
    fill_values(status.parameters, run.get("parameters") or {})
    fill_values(status.live_values, run.get("live_values") or {})
    return status


def _recording(plain: Plain | None) -> types_pb2.Recording | None:
    if plain is None:
        return None
    return types_pb2.Recording(
        file=plain.get("file") or "",
        state=enum_number(types_pb2.RecordingState, "RECORDING_STATE", plain["state"]),
        streams={
            name: types_pb2.RecordedStream(**_known(types_pb2.RecordedStream, counts))
            for name, counts in (plain.get("streams") or {}).items()
        },
        error=_error(plain.get("error")),
    )


def _known(message: Any, plain: Plain) -> dict[str, Any]:
    """The entries that a message has a field for, and that are set."""
    fields = message.DESCRIPTOR.fields_by_name
    return {k: v for k, v in plain.items() if k in fields and v is not None}


def stream_info(plain: Plain) -> types_pb2.StreamInfo:
    """A stream and its ring."""
    spec = plain["spec"]
    statistics = plain.get("statistics")
    return types_pb2.StreamInfo(
        name=plain["name"],
        kind=enum_number(types_pb2.StreamKind, "STREAM_KIND", spec["kind"]),
        channels=[types_pb2.Channel(**_known(types_pb2.Channel, c)) for c in spec["channels"]],
        sample_rate=spec.get("sample_rate") or "",
        instrument=spec.get("instrument") or "",
        simulated=bool(spec.get("simulated")),
        metadata=_texts(spec.get("metadata")),
        path=plain["path"],
        generation=plain["generation"],
        statistics=(
            types_pb2.RingStatistics(**_known(types_pb2.RingStatistics, statistics))
            if statistics
            else None
        ),
    )


def instrument_info(plain: Plain) -> types_pb2.InstrumentInfo:
    """An instrument."""
    limits = plain.get("limits") or {}
    return types_pb2.InstrumentInfo(
        name=plain["name"],
        driver=plain["driver"],
        connected=plain["connected"],
        simulated=plain["simulated"],
        capabilities=plain["capabilities"],
        verbs=plain["verbs"],
        unit=plain.get("unit") or "",
        limits={k: types_pb2.Limits(low=v[0], high=v[1]) for k, v in limits.items()},
        error=plain.get("error") or "",
        busy_with=plain.get("busy_with") or "",
    )


def daemon_info(plain: Plain) -> control_pb2.GetDaemonInfoResponse:
    """The daemon."""
    return control_pb2.GetDaemonInfoResponse(
        version=plain["version"],
        pid=plain["pid"],
        uptime_secs=plain["uptime_secs"],
        features=plain["features"],
        instruments=[instrument_info(i) for i in plain["instruments"]],
        rig=plain.get("rig") or "",
        data_directory=plain.get("data_directory") or "",
    )


def system_status(plain: Plain) -> control_pb2.StreamStatusResponse:
    """What the daemon does."""
    status = control_pb2.StreamStatusResponse(
        state=enum_number(control_pb2.SystemState, "SYSTEM_STATE", plain["state"]),
        uptime_secs=plain["uptime_secs"],
        memory_bytes=plain["memory_bytes"],
        active_executions=_run_ids(plain["active_runs"]),
        time_nanos=plain["timestamp_nanos"],
    )
    fill_values(status.live_values, plain["live_values"])
    return status


def _run_ids(runs: Iterable[Any]) -> list[str]:
    return [run["run_id"] if isinstance(run, Mapping) else str(run) for run in runs]
