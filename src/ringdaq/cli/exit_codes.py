"""What the number means that a command ends with."""

from __future__ import annotations

from ringdaq import errors

OK = 0
FAILED = 1
"""A run, a check or a command failed."""
USAGE = 2
"""The command line, a rig file, a script or a value was refused; nothing was done."""
UNREACHABLE = 3
"""No daemon answers."""
UNAVAILABLE = 4
"""Something the command needs is not there: a port, room for rings, a device, an extra."""
REFUSED = 5
"""The daemon refused: token, grant, another owner, busy."""
INTERRUPTED = 130
"""Ctrl-C."""

MEANINGS = {
    OK: "all is well",
    FAILED: "a run, a check or a command failed",
    USAGE: "the command line, a rig file, a script or a value was refused; nothing was done",
    UNREACHABLE: "no daemon answers",
    UNAVAILABLE: "something needed is not there: a port, room for rings, a device, an extra",
    REFUSED: "the daemon refused: token, grant, another owner, busy",
    INTERRUPTED: "interrupted with Ctrl-C",
}

EXIT_CODES: dict[type[errors.RingdaqError], int] = {
    errors.RingdaqError: FAILED,
    errors.ConfigError: USAGE,
    errors.RefusedError: USAGE,
    errors.MissingExtraError: UNAVAILABLE,
    errors.InstrumentError: FAILED,
    errors.UnknownInstrumentError: USAGE,
    errors.NotConnectedError: UNAVAILABLE,
    errors.MissingCapabilityError: USAGE,
    errors.LimitError: USAGE,
    errors.InstrumentBusyError: REFUSED,
    errors.InstrumentTimeoutError: FAILED,
    errors.InstrumentFaultError: FAILED,
    errors.StreamError: FAILED,
    errors.UnknownStreamError: USAGE,
    errors.NotYetWrittenError: FAILED,
    errors.EndOfStreamError: FAILED,
    errors.ClosedStreamError: FAILED,
    errors.WriterGoneError: FAILED,
    errors.OverrunError: FAILED,
    errors.CorruptRecordError: FAILED,
    errors.RingSpaceError: UNAVAILABLE,
    errors.ScriptError: FAILED,
    errors.UnknownScriptError: USAGE,
    errors.UnknownRunError: USAGE,
    errors.ScriptRejectedError: USAGE,
    errors.GrantError: REFUSED,
    errors.ScriptLimitError: FAILED,
    errors.ScriptStoppedError: FAILED,
    errors.ScriptFailedError: FAILED,
    errors.PipelineError: FAILED,
    errors.UnknownPipelineError: USAGE,
    errors.PipelineBusyError: REFUSED,
    errors.PipelineStoppedError: FAILED,
    errors.RecordingError: FAILED,
    errors.CorruptJournalError: FAILED,
    errors.ServiceError: UNAVAILABLE,
    errors.DaemonUnreachableError: UNREACHABLE,
    errors.DaemonRunningError: REFUSED,
    errors.AuthenticationError: REFUSED,
    errors.VersionMismatchError: REFUSED,
    errors.BadRequestError: USAGE,
    errors.BusyError: REFUSED,
}


def exit_code(error: errors.RingdaqError) -> int:
    """The exit code for an error."""
    return EXIT_CODES.get(type(error), FAILED)
