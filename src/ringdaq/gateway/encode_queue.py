"""What the daemon says of its queue and of dry runs, as messages of the contract."""

from __future__ import annotations

from typing import Any

from ringdaq.gateway.encode import Plain, enum_word, run_state
from ringdaq.v1 import control_pb2, queue_pb2, types_pb2
from ringdaq.wire import fill_values, to_error_detail


def on_failure_word(number: queue_pb2.OnFailure.ValueType) -> str:
    """The daemon's word for what a failure does; raises `BadRequestError`."""
    word = enum_word(queue_pb2.OnFailure, "ON_FAILURE", number)
    return "stop" if word == "unspecified" else word


def queue_entry(plain: Plain) -> queue_pb2.QueueEntry:
    """A run that waits or goes on."""
    entry = queue_pb2.QueueEntry(
        entry_id=plain["entry_id"],
        script_id=plain["script_id"],
        script_name=plain["script_name"],
        repeat=plain["repeat"],
        on_failure=(
            queue_pb2.ON_FAILURE_CONTINUE
            if plain["on_failure"] == "continue"
            else queue_pb2.ON_FAILURE_STOP
        ),
        user=plain["user"],
        added_nanos=plain["added_nanos"],
        running=plain["state"] == "running",
        execution_id=plain["run_id"] or "",
        expected=_expected(plain.get("expected")),
    )
    fill_values(entry.parameters, plain["parameters"])
    if plain["instruments"] is not None:
        entry.instruments.SetInParent()
        entry.instruments.names.extend(plain["instruments"])
    return entry


def _expected(plain: Plain | None) -> queue_pb2.ExpectedRun | None:
    if plain is None:
        return None
    return queue_pb2.ExpectedRun(
        duration_secs=plain["duration_secs"], points=plain["points"], bytes=plain["bytes"]
    )


def queue_state(plain: Plain) -> queue_pb2.QueueState:
    """The queue."""
    return queue_pb2.QueueState(
        paused=plain["state"] == "paused",
        reason=plain["reason"],
        entries=[queue_entry(entry) for entry in plain["entries"]],
    )


def dry_run(plain: Plain) -> control_pb2.DryRunScriptResponse:
    """What a run would take."""
    error: types_pb2.ErrorDetail | None = None
    if plain["error"]:
        error = to_error_detail(plain["error"])
    streams: dict[str, Any] = plain["streams"]
    return control_pb2.DryRunScriptResponse(
        state=run_state(plain["state"]),
        error=error,
        line=plain["line"],
        duration_secs=plain["duration_secs"],
        points=plain["points"],
        verbs=plain["verbs"],
        bytes=plain["bytes"],
        streams={name: control_pb2.ExpectedStream(**counts) for name, counts in streams.items()},
        violations=[control_pb2.LimitViolation(**one) for one in plain["violations"]],
        assumed=plain["assumed"],
        output=plain["output"],
    )
