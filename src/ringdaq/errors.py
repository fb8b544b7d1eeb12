"""The errors of ringdaq, one tree.

RingdaqError
├─ ConfigError                   a rig file or a setting is wrong: which key, what would be valid
│  └─ RefusedError               a pipeline's stage cannot do what it is asked: which key
├─ MissingExtraError             an optional dependency is not installed
├─ InstrumentError
│  ├─ UnknownInstrumentError     no instrument of that name in the rig
│  ├─ NotConnectedError          the instrument is in the rig, but could not be reached
│  ├─ MissingCapabilityError     the instrument cannot do what was asked
│  ├─ LimitError                 a value beyond the soft limits, or not a finite number
│  ├─ InstrumentBusyError        somebody else holds the instrument
│  ├─ InstrumentTimeoutError     no answer within the deadline
│  └─ InstrumentFaultError       the device said no; its own words are kept
├─ StreamError
│  ├─ UnknownStreamError         no stream of that name
│  ├─ NotYetWrittenError         the record asked for lies in the future
│  ├─ EndOfStreamError           the writer closed the stream in good order
│  ├─ ClosedStreamError          this side closed it
│  ├─ WriterGoneError            the writer died
│  ├─ OverrunError               the writer lapped the reader: how much was lost, where to go on
│  ├─ CorruptRecordError         a header or a record fails its check
│  └─ RingSpaceError             the ring does not fit where it should lie
├─ ScriptError
│  ├─ UnknownScriptError / UnknownRunError
│  ├─ ScriptRejectedError        refused at upload: line, column, what would be valid
│  ├─ GrantError                 the run was not granted that instrument or verb
│  ├─ ScriptLimitError           a budget is used up: which, its value, the line
│  ├─ ScriptStoppedError         somebody stopped the run
│  └─ ScriptFailedError          the script raised: its own message and line
├─ PipelineError                 a pipeline cannot do what was asked
│  ├─ UnknownPipelineError       no pipeline of that name
│  ├─ PipelineBusyError          a recording holds it as it is, or it runs already
│  └─ PipelineStoppedError       it does not run now: how it is, and why
├─ RecordingError
│  └─ CorruptJournalError        a journal entry fails its check
└─ ServiceError
   ├─ DaemonUnreachableError     nobody answers at the address
   ├─ DaemonRunningError         another daemon owns the state directory: its pid
   ├─ AuthenticationError        the token is missing or wrong
   ├─ VersionMismatchError       the two ends speak different versions
   ├─ BadRequestError            a request that makes no sense: an unknown method, a wrong type
   └─ BusyError                  try again later
"""

from __future__ import annotations


class RingdaqError(Exception):
    """Something ringdaq was asked for cannot be had."""

    @property
    def details(self) -> dict[str, object]:
        """The error's own fields by name, for the wire and for `--json`."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


class ConfigError(RingdaqError):
    """A rig file or a setting is wrong."""


class RefusedError(ConfigError):
    """A stage of a pipeline cannot do what it is asked; `key` is the parameter that is wrong."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class MissingExtraError(RingdaqError):
    """An optional dependency is not installed."""

    def __init__(self, message: str, *, extra: str = "") -> None:
        super().__init__(message)
        self.extra = extra


class InstrumentError(RingdaqError):
    """An instrument cannot do what was asked."""

    def __init__(self, message: str, *, instrument: str = "") -> None:
        super().__init__(message)
        self.instrument = instrument


class UnknownInstrumentError(InstrumentError):
    """No instrument of that name is in the rig."""


class NotConnectedError(InstrumentError):
    """The instrument is in the rig, but could not be reached."""


class MissingCapabilityError(InstrumentError):
    """The instrument lacks the capability that was asked for."""


class LimitError(InstrumentError):
    """A value lies beyond the soft limits, or is not a finite number."""


class InstrumentBusyError(InstrumentError):
    """Somebody else holds the instrument."""


class InstrumentTimeoutError(InstrumentError):
    """The instrument did not answer within the deadline."""


class InstrumentFaultError(InstrumentError):
    """The device reported a fault; its own words are in the message."""


class StreamError(RingdaqError):
    """A stream cannot give what was asked."""

    def __init__(self, message: str, *, stream: str = "") -> None:
        super().__init__(message)
        self.stream = stream


class UnknownStreamError(StreamError):
    """No stream of that name exists."""


class NotYetWrittenError(StreamError):
    """The record asked for has not been written yet."""


class EndOfStreamError(StreamError):
    """The writer closed the stream in good order, and everything was read."""


class ClosedStreamError(StreamError):
    """This side has closed the stream."""


class WriterGoneError(StreamError):
    """The writer died; what it committed stays readable."""


class OverrunError(StreamError):
    """The writer lapped the reader.

    From the record that was wanted to `resume_at`, the oldest one left, `lost_records` are gone.
    `lost_rows` are the rows in them; -1 where neither the ring nor this reader remembers where it
    was, which takes a reader that meanwhile looked elsewhere. `follow` then goes by its own count.
    """

    def __init__(
        self,
        message: str,
        *,
        stream: str = "",
        lost_records: int = 0,
        lost_rows: int = 0,
        resume_at: int = 0,
    ) -> None:
        super().__init__(message, stream=stream)
        self.lost_records = lost_records
        self.lost_rows = lost_rows
        self.resume_at = resume_at


class CorruptRecordError(StreamError):
    """A ring's header or record fails its check."""


class RingSpaceError(StreamError):
    """The ring does not fit into its directory."""


class ScriptError(RingdaqError):
    """A script or a run cannot do what was asked."""


class UnknownScriptError(ScriptError):
    """No script of that id or name is stored."""


class UnknownRunError(ScriptError):
    """No run of that id is known."""


class ScriptRejectedError(ScriptError):
    """The script was refused before it ran."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class GrantError(ScriptError):
    """The run was not granted that instrument or verb."""


class ScriptLimitError(ScriptError):
    """A budget of the run is used up."""

    def __init__(self, message: str, *, limit: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
        self.line = line


class ScriptStoppedError(ScriptError):
    """Somebody stopped the run."""


class ScriptFailedError(ScriptError):
    """The script raised an error of its own."""

    def __init__(self, message: str, *, line: int = 0, traceback: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.traceback = traceback


class PipelineError(RingdaqError):
    """A pipeline cannot do what was asked."""

    def __init__(self, message: str, *, pipeline: str = "") -> None:
        super().__init__(message)
        self.pipeline = pipeline


class UnknownPipelineError(PipelineError):
    """No pipeline of that name is known."""


class PipelineBusyError(PipelineError):
    """The pipeline must stay as it is now: it is recorded, or runs already."""


class PipelineStoppedError(PipelineError):
    """The pipeline does not run now."""


class RecordingError(RingdaqError):
    """A recording cannot be written or read."""


class CorruptJournalError(RecordingError):
    """A journal entry fails its check."""


class ServiceError(RingdaqError):
    """The daemon cannot be used as asked."""


class DaemonUnreachableError(ServiceError):
    """Nobody answers at the address."""


class DaemonRunningError(ServiceError):
    """Another daemon owns the state directory."""

    def __init__(self, message: str, *, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class AuthenticationError(ServiceError):
    """The token is missing or wrong."""


class VersionMismatchError(ServiceError):
    """The two ends speak different versions."""


class BadRequestError(ServiceError):
    """A request that makes no sense to the daemon."""


class BusyError(ServiceError):
    """The daemon has no room for the request now."""


def error_classes() -> dict[str, type[RingdaqError]]:
    """All error classes by name, the root included."""
    found: dict[str, type[RingdaqError]] = {}
    todo: list[type[RingdaqError]] = [RingdaqError]
    while todo:
        cls = todo.pop()
        found[cls.__name__] = cls
        todo.extend(cls.__subclasses__())
    return found


def to_wire(error: BaseException) -> dict[str, object]:
    """Describe an error as plain values: class, message, details."""
    if not isinstance(error, RingdaqError):
        return {
            "class": "RingdaqError",
            "message": f"internal error: {type(error).__name__}: {error}",
            "details": {},
        }
    return {"class": type(error).__name__, "message": str(error), "details": error.details}


def from_wire(wire: dict[str, object]) -> RingdaqError:
    """Make the error that `to_wire` described; an unknown class becomes a `RingdaqError`."""
    cls = error_classes().get(str(wire.get("class")), RingdaqError)
    error = cls(str(wire.get("message", "")))
    details = wire.get("details")
    if isinstance(details, dict):
        for key, value in details.items():
            if key in error.details:
                setattr(error, key, value)
    return error
