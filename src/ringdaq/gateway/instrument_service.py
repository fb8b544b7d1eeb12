"""InstrumentService: the instruments, one command at a time."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringdaq.errors import MissingCapabilityError
from ringdaq.gateway import encode
from ringdaq.gateway.auth import caller
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.link import ANSWER_SECS, MAX_CALLS_WITH_PANICS, DaemonLink
from ringdaq.v1 import instruments_pb2, instruments_pb2_grpc
from ringdaq.wire import from_list, from_map, to_value

# Longer than the daemon waits for any motion by itself.
MAX_CALL_SECS = 3600.0
MOVE_SECS = 30.0
GRACE_SECS = 10.0
# Verbs that end something must not wait behind others.
CALMING = frozenset({"stop", "make_safe"})


def seconds_left(context: Context) -> float:
    """How long the caller will wait."""
    left = context.time_remaining()
    return MAX_CALL_SECS if left is None else min(left, MAX_CALL_SECS)


class InstrumentService(instruments_pb2_grpc.InstrumentServiceServicer):
    """Commands instruments through the daemon.

    `commands` is the link that verbs may fill; those that end something go over `urgent`.
    """

    def __init__(self, link: DaemonLink, commands: DaemonLink, urgent: DaemonLink) -> None:
        self._link = link
        self._commands = commands
        self._urgent = urgent

    async def ListInstruments(
        self, request: instruments_pb2.ListInstrumentsRequest, context: Context
    ) -> instruments_pb2.ListInstrumentsResponse:
        found = await self._link.call("instruments.list")
        return instruments_pb2.ListInstrumentsResponse(
            instruments=[encode.instrument_info(i) for i in found]
        )

    async def CallInstrument(
        self, request: instruments_pb2.CallInstrumentRequest, context: Context
    ) -> instruments_pb2.CallInstrumentResponse:
        value = await self._command(
            context,
            request.instrument,
            request.verb,
            from_list(request.args),
            from_map(request.kwargs),
            request.idempotency_key,
        )
        return instruments_pb2.CallInstrumentResponse(value=to_value(value))

    async def MoveInstrument(
        self, request: instruments_pb2.MoveInstrumentRequest, context: Context
    ) -> instruments_pb2.MoveInstrumentResponse:
        position = await self._command(
            context,
            request.instrument,
            "move_rel" if request.relative else "move_abs",
            [request.position],
            {"timeout": request.timeout_secs or MOVE_SECS},
            request.idempotency_key,
        )
        return instruments_pb2.MoveInstrumentResponse(
            position=_position(request.instrument, position)
        )

    async def ReadInstrument(
        self, request: instruments_pb2.ReadInstrumentRequest, context: Context
    ) -> instruments_pb2.ReadInstrumentResponse:
        value = await self._command(context, request.instrument, "read", [], {}, "")
        return instruments_pb2.ReadInstrumentResponse(value=to_value(value))

    async def _command(
        self,
        context: Context,
        instrument: str,
        verb: str,
        args: list[Any],
        kwargs: Mapping[str, Any],
        key: str,
    ) -> Any:
        params = {
            "instrument": instrument,
            "verb": verb,
            "args": args,
            "kwargs": dict(kwargs),
            "key": key or None,
            "user": caller(context),
        }
        link = self._urgent if verb in CALMING else self._commands
        answer = await link.call("instruments.call", params, timeout=seconds_left(context))
        return answer["value"]

    async def Panic(
        self, request: instruments_pb2.PanicRequest, context: Context
    ) -> instruments_pb2.PanicResponse:
        # Stops that hang, however many, keep no panic out.
        done = await self._urgent.call(
            "panic", {"user": caller(context)}, timeout=ANSWER_SECS, room=MAX_CALLS_WITH_PANICS
        )
        return instruments_pb2.PanicResponse(
            outcomes=[
                instruments_pb2.PanicOutcome(
                    instrument=name, error="" if outcome == "safe" else str(outcome)
                )
                for name, outcome in done["instruments"].items()
            ]
        )


def _position(instrument: str, answer: Any) -> float:
    """Where the instrument is; refuses to make a position up."""
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return float(answer)
    raise MissingCapabilityError(
        f"{instrument!r} moved and should tell its position, found {answer!r}",
        instrument=instrument,
    )
