"""Every call of the contract once: its request and how its answer reads; shared by both clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ringdaq.client import decode
from ringdaq.client.results import (
    DaemonInfo,
    InstrumentInfo,
    MeasurementBatch,
    RunStatus,
    ScriptInfo,
    StreamBatch,
    StreamInfo,
    SystemStatus,
)
from ringdaq.errors import BadRequestError, ServiceError
from ringdaq.model import RunState
from ringdaq.v1 import control_pb2, data_pb2, instruments_pb2, types_pb2
from ringdaq.wire import fill_values, from_value, to_value

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R")
ANSWER_SECS = 30.0
MOVE_SECS = 120.0
# On top of what the daemon itself allows, so that its own message arrives.
GRACE_SECS = 10.0
MAX_SECS = 1e9
CONTROL = "/ringdaq.v1.ControlService/"
INSTRUMENTS = "/ringdaq.v1.InstrumentService/"
DATA = "/ringdaq.v1.DataService/"


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A call, or a subscription, and how to read what comes back."""

    path: str
    request: Message
    response: type[Message]
    decode: Callable[[Any], R | None]
    """In a subscription, `None` is a message that is not for the user."""
    deadline_secs: float | None = ANSWER_SECS
    """`None` only for subscriptions, which end with their run or by their reader."""
    live: bool = False
    """Whether it tells what happens: it may be ended at any time, and has told all until then."""

    def __post_init__(self) -> None:
        secs = self.deadline_secs
        if secs is not None and not 0 <= secs <= MAX_SECS:
            raise BadRequestError(
                f"{self.path.rpartition('/')[2]} may take a finite number of seconds from 0 on; "
                f"found {secs!r}"
            )

    def time_is_over(self, deadline_passed: bool, answered: bool) -> bool:
        """Whether it ended since its reader's seconds were over, and not since nobody answered."""
        return deadline_passed and (answered or not self.deadline_secs)


def run_id_of(run: str | RunStatus) -> str:
    """The run's id."""
    return run if isinstance(run, str) else run.run_id


def upload(
    source: str | Path, name: str | None, metadata: Mapping[str, str] | None
) -> Call[ScriptInfo]:
    """Store a script."""
    from_file = isinstance(source, Path)
    content = source.read_bytes() if isinstance(source, Path) else source.encode()
    return Call(
        CONTROL + "UploadScript",
        control_pb2.UploadScriptRequest(
            script_content=content,
            name=name or (Path(source).name if from_file else "script"),
            metadata=metadata or {},
        ),
        control_pb2.UploadScriptResponse,
        lambda answer: decode.script_info(answer.script),
    )


def start(
    script: str | ScriptInfo,
    parameters: Mapping[str, object] | None,
    instruments: Sequence[str] | None,
) -> Call[str]:
    """Start a stored script."""
    request = control_pb2.StartScriptRequest(
        script_id=script if isinstance(script, str) else script.script_id
    )
    fill_values(request.parameters, parameters or {})
    if instruments is not None:
        request.instruments.SetInParent()
        request.instruments.names.extend(instruments)
    return Call(
        CONTROL + "StartScript",
        request,
        control_pb2.StartScriptResponse,
        lambda answer: str(answer.execution_id),
    )


def stop(run: str | RunStatus, force: bool) -> Call[RunState]:
    """Ask a run to stop."""
    return Call(
        CONTROL + "StopScript",
        control_pb2.StopScriptRequest(execution_id=run_id_of(run), force=force),
        control_pb2.StopScriptResponse,
        lambda answer: decode.run_state(answer.state),
    )


def pause(run: str | RunStatus) -> Call[RunState]:
    """Ask a run to hold."""
    return Call(
        CONTROL + "PauseScript",
        control_pb2.PauseScriptRequest(execution_id=run_id_of(run)),
        control_pb2.PauseScriptResponse,
        lambda answer: decode.run_state(answer.state),
    )


def resume(run: str | RunStatus) -> Call[RunState]:
    """Let a run go on."""
    return Call(
        CONTROL + "ResumeScript",
        control_pb2.ResumeScriptRequest(execution_id=run_id_of(run)),
        control_pb2.ResumeScriptResponse,
        lambda answer: decode.run_state(answer.state),
    )


def status(run: str | RunStatus) -> Call[RunStatus]:
    """Where a run is."""
    return Call(
        CONTROL + "GetScriptStatus",
        control_pb2.GetScriptStatusRequest(execution_id=run_id_of(run)),
        control_pb2.GetScriptStatusResponse,
        lambda answer: decode.run_status(answer.status),
    )


def watch(run: str | RunStatus, seconds: float | None) -> Call[RunStatus]:
    """Where a run is, until it has ended."""
    return Call(
        CONTROL + "WatchScript",
        control_pb2.WatchScriptRequest(execution_id=run_id_of(run)),
        control_pb2.WatchScriptResponse,
        lambda answer: decode.run_status(answer.status),
        seconds,
        live=True,
    )


def ended(
    last: RunStatus | None, run: str | RunStatus, timeout: float | None, *, closed: bool
) -> RunStatus:
    """The status a watch ended with; raises `ServiceError` if it ended before the run."""
    if last is not None and last.state.ended:
        return last
    if closed:
        raise ServiceError(f"the client was closed while run {run_id_of(run)} went on")
    raise ServiceError(f"run {run_id_of(run)} should end within {timeout} s and goes on")


def runs(script_id: str | None, state: str | None, limit: int) -> Call[list[RunStatus]]:
    """Runs, the newest first."""
    request = control_pb2.ListExecutionsRequest(limit=limit)
    if script_id is not None:
        request.script_id = script_id
    if state is not None:
        request.state = _state_number(state)
    return Call(
        CONTROL + "ListExecutions",
        request,
        control_pb2.ListExecutionsResponse,
        lambda answer: [decode.run_status(s) for s in answer.executions],
    )


def _state_number(state: str) -> types_pb2.RunState.ValueType:
    try:
        word = RunState(state)
    except ValueError:
        raise BadRequestError(
            f"a run's state must be one of {', '.join(RunState)}; found {state!r}"
        ) from None
    return types_pb2.RunState.Value(f"RUN_STATE_{word.name}")


def scripts() -> Call[list[ScriptInfo]]:
    """The stored scripts."""
    return Call(
        CONTROL + "ListScripts",
        control_pb2.ListScriptsRequest(),
        control_pb2.ListScriptsResponse,
        lambda answer: [decode.script_info(s) for s in answer.scripts],
    )


def info() -> Call[DaemonInfo]:
    """Which daemon this is."""
    return Call(
        CONTROL + "GetDaemonInfo",
        control_pb2.GetDaemonInfoRequest(),
        control_pb2.GetDaemonInfoResponse,
        decode.daemon_info,
    )


def system(seconds: float | None) -> Call[SystemStatus]:
    """What the daemon does, ten times a second."""
    return Call(
        CONTROL + "StreamStatus",
        control_pb2.StreamStatusRequest(),
        control_pb2.StreamStatusResponse,
        decode.system_status,
        seconds,
        live=True,
    )


def stream(
    channels: Sequence[str] | None, max_rate_hz: float | None, seconds: float | None
) -> Call[MeasurementBatch]:
    """Single values as they are measured."""
    return Call(
        CONTROL + "StreamMeasurements",
        control_pb2.StreamMeasurementsRequest(
            channels=channels or [], max_rate_hz=max_rate_hz or 0.0
        ),
        control_pb2.StreamMeasurementsResponse,
        decode.measurements,
        seconds,
        live=True,
    )


def instruments() -> Call[list[InstrumentInfo]]:
    """The rig's instruments."""
    return Call(
        INSTRUMENTS + "ListInstruments",
        instruments_pb2.ListInstrumentsRequest(),
        instruments_pb2.ListInstrumentsResponse,
        lambda answer: [decode.instrument_info(i) for i in answer.instruments],
    )


def call(
    instrument: str,
    verb: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    key: str,
    deadline_secs: float,
) -> Call[Any]:
    """Make an instrument do something."""
    request = instruments_pb2.CallInstrumentRequest(
        instrument=instrument,
        verb=verb,
        args=[to_value(a) for a in args],
        idempotency_key=key,
    )
    fill_values(request.kwargs, kwargs)
    return Call(
        INSTRUMENTS + "CallInstrument",
        request,
        instruments_pb2.CallInstrumentResponse,
        lambda answer: from_value(answer.value),
        deadline_secs,
    )


def move(
    instrument: str, position: float, *, relative: bool, timeout: float, key: str
) -> Call[float]:
    """Move an instrument and wait until it rests."""
    return Call(
        INSTRUMENTS + "MoveInstrument",
        instruments_pb2.MoveInstrumentRequest(
            instrument=instrument,
            position=position,
            relative=relative,
            timeout_secs=timeout,
            idempotency_key=key,
        ),
        instruments_pb2.MoveInstrumentResponse,
        lambda answer: float(answer.position),
        timeout + GRACE_SECS,
    )


def read(instrument: str) -> Call[Any]:
    """A value from an instrument, now."""
    return Call(
        INSTRUMENTS + "ReadInstrument",
        instruments_pb2.ReadInstrumentRequest(instrument=instrument),
        instruments_pb2.ReadInstrumentResponse,
        lambda answer: from_value(answer.value),
    )


def panic() -> Call[Mapping[str, str]]:
    """The safe state of everything."""
    return Call(
        INSTRUMENTS + "Panic",
        instruments_pb2.PanicRequest(),
        instruments_pb2.PanicResponse,
        decode.outcomes,
    )


def streams() -> Call[list[StreamInfo]]:
    """The streams that can be read."""
    return Call(
        DATA + "ListStreams",
        data_pb2.ListStreamsRequest(),
        data_pb2.ListStreamsResponse,
        lambda answer: [decode.stream_info(s) for s in answer.streams],
    )


def batches(stream: str, seconds: float | None) -> Call[StreamBatch]:
    """A stream's records as they are written."""
    return Call(
        DATA + "StreamBatches",
        data_pb2.StreamBatchesRequest(stream=stream),
        data_pb2.StreamBatchesResponse,
        decode.batches(),
        seconds,
        live=True,
    )
