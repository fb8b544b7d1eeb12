"""Calls of the queue and of dry runs; shared by both clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringdaq.client import decode
from ringdaq.client.calls import CONTROL, Call
from ringdaq.client.queue_results import (
    DryRunReport,
    ExpectedRun,
    QueueEntry,
    QueueState,
    Violation,
)
from ringdaq.client.results import ScriptInfo
from ringdaq.errors import BadRequestError
from ringdaq.v1 import control_pb2, queue_pb2
from ringdaq.wire import fill_values, from_error_detail, from_map

if TYPE_CHECKING:
    from google.protobuf.message import Message

QUEUE = "/ringdaq.v1.QueueService/"
DRY_RUN_SECS = 130.0
ON_FAILURE = {"stop": queue_pb2.ON_FAILURE_STOP, "continue": queue_pb2.ON_FAILURE_CONTINUE}


def id_of(script: str | ScriptInfo) -> str:
    """The script's id, or the name it was given by."""
    return script if isinstance(script, str) else script.script_id


def entry_id_of(entry: str | QueueEntry) -> str:
    """The entry's id."""
    return entry if isinstance(entry, str) else entry.entry_id


def _fill(
    request: Any, parameters: Mapping[str, object] | None, instruments: Sequence[str] | None
) -> None:
    fill_values(request.parameters, parameters or {})
    if instruments is not None:
        request.instruments.SetInParent()
        request.instruments.names.extend(instruments)


def dry_run(
    script: str | ScriptInfo,
    parameters: Mapping[str, object] | None,
    instruments: Sequence[str] | None,
) -> Call[DryRunReport]:
    """What a run would take."""
    request = control_pb2.DryRunScriptRequest(script_id=id_of(script))
    _fill(request, parameters, instruments)
    return Call(
        CONTROL + "DryRunScript",
        request,
        control_pb2.DryRunScriptResponse,
        _report,
        DRY_RUN_SECS,
    )


def _report(message: control_pb2.DryRunScriptResponse) -> DryRunReport:
    return DryRunReport(
        state=decode.run_state(message.state),
        error=from_error_detail(message.error) if message.HasField("error") else None,
        line=message.line,
        duration_secs=message.duration_secs,
        points=message.points,
        verbs=message.verbs,
        bytes=message.bytes,
        streams={name: (s.rows, s.bytes) for name, s in message.streams.items()},
        violations=[Violation(v.line, v.instrument, v.message) for v in message.violations],
        assumed=list(message.assumed),
        output=message.output,
    )


def script_text(script: str | ScriptInfo) -> Call[str]:
    """A stored script's text."""
    return Call(
        CONTROL + "GetScript",
        control_pb2.GetScriptRequest(script_id=id_of(script)),
        control_pb2.GetScriptResponse,
        lambda answer: str(answer.content),
    )


def add(
    script: str | ScriptInfo,
    parameters: Mapping[str, object] | None,
    instruments: Sequence[str] | None,
    repeat: int,
    on_failure: str,
    dry_run: bool,
) -> Call[QueueEntry]:
    """Put a run at the end."""
    request = queue_pb2.AddEntryRequest(
        script_id=id_of(script),
        repeat=repeat,
        on_failure=_on_failure(on_failure),
        skip_dry_run=not dry_run,
    )
    _fill(request, parameters, instruments)
    return Call(
        QUEUE + "AddEntry",
        request,
        queue_pb2.AddEntryResponse,
        lambda answer: _entry(answer.entry),
        DRY_RUN_SECS,
    )


def _on_failure(word: str) -> queue_pb2.OnFailure.ValueType:
    if word not in ON_FAILURE:
        raise BadRequestError(
            f"on_failure must be one of {', '.join(ON_FAILURE)}; found {word!r:.80}"
        )
    return ON_FAILURE[word]


def _changing(name: str, request: Message, response: type[Message]) -> Call[QueueState]:
    return Call(QUEUE + name, request, response, lambda answer: _state(answer.queue), DRY_RUN_SECS)


def entries() -> Call[QueueState]:
    """The queue."""
    return _changing("ListEntries", queue_pb2.ListEntriesRequest(), queue_pb2.ListEntriesResponse)


def move(entry: str | QueueEntry, place: int) -> Call[QueueState]:
    """Put an entry at another place."""
    request = queue_pb2.MoveEntryRequest(entry_id=entry_id_of(entry), place=place)
    return _changing("MoveEntry", request, queue_pb2.MoveEntryResponse)


def remove(entry: str | QueueEntry) -> Call[QueueState]:
    """Take an entry out."""
    request = queue_pb2.RemoveEntryRequest(entry_id=entry_id_of(entry))
    return _changing("RemoveEntry", request, queue_pb2.RemoveEntryResponse)


def edit(
    entry: str | QueueEntry,
    parameters: Mapping[str, object] | None,
    repeat: int | None,
    on_failure: str | None,
    dry_run: bool,
) -> Call[QueueState]:
    """Change an entry."""
    request = queue_pb2.EditEntryRequest(entry_id=entry_id_of(entry), skip_dry_run=not dry_run)
    if parameters is not None:
        request.parameters.SetInParent()
        fill_values(request.parameters.values, parameters)
    if repeat is not None:
        request.repeat = repeat
    if on_failure is not None:
        request.on_failure = _on_failure(on_failure)
    return _changing("EditEntry", request, queue_pb2.EditEntryResponse)


def pause() -> Call[QueueState]:
    """Start nothing more."""
    return _changing("PauseQueue", queue_pb2.PauseQueueRequest(), queue_pb2.PauseQueueResponse)


def resume() -> Call[QueueState]:
    """Go on."""
    return _changing("ResumeQueue", queue_pb2.ResumeQueueRequest(), queue_pb2.ResumeQueueResponse)


def _state(message: queue_pb2.QueueState) -> QueueState:
    return QueueState(message.paused, message.reason, [_entry(e) for e in message.entries])


def _entry(message: queue_pb2.QueueEntry) -> QueueEntry:
    expected = message.expected if message.HasField("expected") else None
    return QueueEntry(
        entry_id=message.entry_id,
        script_id=message.script_id,
        script_name=message.script_name,
        parameters=from_map(message.parameters),
        instruments=(list(message.instruments.names) if message.HasField("instruments") else None),
        repeat=message.repeat,
        on_failure="continue" if message.on_failure == queue_pb2.ON_FAILURE_CONTINUE else "stop",
        user=message.user,
        added_nanos=message.added_nanos,
        running=message.running,
        run_id=message.execution_id,
        expected=(
            None
            if expected is None
            else ExpectedRun(expected.duration_secs, expected.points, expected.bytes)
        ),
    )
