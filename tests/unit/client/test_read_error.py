"""What a status means when the daemon had no say in it."""

from __future__ import annotations

import grpc
import pytest

from ringdaq import errors, wire
from ringdaq.client.transport import read_error


class Failed(grpc.RpcError):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode, packed: bytes | None = None) -> None:
        self._code = code
        self._packed = packed

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "its words"

    def trailing_metadata(self) -> object:
        return None if self._packed is None else ((wire.ERROR_KEY, self._packed),)


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.DaemonUnreachableError),
        (grpc.StatusCode.UNAUTHENTICATED, errors.AuthenticationError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.VersionMismatchError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.BusyError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.ServiceError),
        (grpc.StatusCode.INTERNAL, errors.ServiceError),
    ],
)
def test_a_bare_status(code: grpc.StatusCode, cls: type[errors.RingdaqError]) -> None:
    error = read_error(Failed(code), "lab:1", "/ringdaq.v1.ControlService/StopScript")
    assert type(error) is cls
    for word in ("lab:1", "StopScript", "its words"):
        assert word in str(error)


def test_the_daemons_own_error_counts() -> None:
    packed = wire.pack_error(errors.LimitError("too far", instrument="stage"))
    error = read_error(Failed(grpc.StatusCode.OUT_OF_RANGE, packed), "lab:1", "/x/Call")
    assert isinstance(error, errors.LimitError)
    assert error.instrument == "stage"
