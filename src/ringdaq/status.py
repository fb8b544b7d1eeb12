"""Which gRPC status code stands for which error; one table for both ends."""

from __future__ import annotations

from ringdaq import errors

# Names, not grpc's enum: reading this table must not need grpc.
GRPC_CODES: dict[type[errors.RingdaqError], str] = {
    errors.RingdaqError: "INTERNAL",
    errors.ConfigError: "FAILED_PRECONDITION",
    errors.RefusedError: "FAILED_PRECONDITION",
    errors.MissingExtraError: "UNIMPLEMENTED",
    errors.InstrumentError: "FAILED_PRECONDITION",
    errors.UnknownInstrumentError: "NOT_FOUND",
    errors.NotConnectedError: "UNAVAILABLE",
    errors.MissingCapabilityError: "FAILED_PRECONDITION",
    errors.LimitError: "OUT_OF_RANGE",
    errors.InstrumentBusyError: "ABORTED",
    errors.InstrumentTimeoutError: "DEADLINE_EXCEEDED",
    errors.InstrumentFaultError: "ABORTED",
    errors.StreamError: "FAILED_PRECONDITION",
    errors.UnknownStreamError: "NOT_FOUND",
    errors.NotYetWrittenError: "OUT_OF_RANGE",
    errors.EndOfStreamError: "OUT_OF_RANGE",
    errors.ClosedStreamError: "FAILED_PRECONDITION",
    errors.WriterGoneError: "UNAVAILABLE",
    errors.OverrunError: "DATA_LOSS",
    errors.CorruptRecordError: "DATA_LOSS",
    errors.RingSpaceError: "RESOURCE_EXHAUSTED",
    errors.ScriptError: "FAILED_PRECONDITION",
    errors.UnknownScriptError: "NOT_FOUND",
    errors.UnknownRunError: "NOT_FOUND",
    errors.ScriptRejectedError: "INVALID_ARGUMENT",
    errors.GrantError: "PERMISSION_DENIED",
    errors.ScriptLimitError: "RESOURCE_EXHAUSTED",
    errors.ScriptStoppedError: "CANCELLED",
    errors.ScriptFailedError: "ABORTED",
    errors.PipelineError: "FAILED_PRECONDITION",
    errors.UnknownPipelineError: "NOT_FOUND",
    errors.PipelineBusyError: "ABORTED",
    errors.PipelineStoppedError: "UNAVAILABLE",
    errors.RecordingError: "INTERNAL",
    errors.CorruptJournalError: "DATA_LOSS",
    errors.ServiceError: "INTERNAL",
    errors.DaemonUnreachableError: "UNAVAILABLE",
    errors.DaemonRunningError: "ALREADY_EXISTS",
    errors.AuthenticationError: "UNAUTHENTICATED",
    errors.VersionMismatchError: "FAILED_PRECONDITION",
    errors.BadRequestError: "INVALID_ARGUMENT",
    errors.BusyError: "RESOURCE_EXHAUSTED",
}


def grpc_code_name(error: BaseException) -> str:
    """The gRPC status code's name for an error; what is not ours is INTERNAL."""
    if not isinstance(error, errors.RingdaqError):
        return "INTERNAL"
    return GRPC_CODES.get(type(error), "INTERNAL")
