"""What both clients need of gRPC: options, credentials, and errors read back."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

import grpc

from ringdaq.client.address import Endpoint
from ringdaq.errors import (
    AuthenticationError,
    BusyError,
    DaemonUnreachableError,
    RingdaqError,
    ServiceError,
    VersionMismatchError,
)
from ringdaq.wire import (
    ERROR_KEY,
    MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES,
    STANDS_KEY,
    unpack_error,
)

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # A gateway that hangs is noticed on an open stream within 20 s.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    # However long nothing has come; after two pings gRPC would ask less and less often.
    ("grpc.http2.max_pings_without_data", 0),
    # A gateway that comes back is found again at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Whatever gRPC calls it, this is how long a gateway on a busy machine may take to greet.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    # A proxy of the environment is not for a daemon on this machine.
    ("grpc.enable_http_proxy", 0),
)


def call_metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """The token, and who calls; raises `AuthenticationError` for what can be no token."""
    token = endpoint.token.strip()
    if not (token.isascii() and token.isprintable()):
        raise AuthenticationError(
            f"a token has letters and digits of ASCII only, and the one given for "
            f"{endpoint.address} has others; it is the text in the daemon's file 'token'"
        )
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return (
        ("authorization", f"Bearer {token}"),
        ("ringdaq-user", user.encode("ascii", "replace").decode()),
    )


def deadline_passed(error: grpc.RpcError) -> bool:
    """Whether it was the caller's own deadline that ended the call."""
    return bool(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED) and not _packed(error)


def stands(metadata: Any) -> bool:
    """Whether a subscription's initial metadata say that the gateway has begun it."""
    return any(key == STANDS_KEY for key, _ in metadata or ())


def closed_error(address: str, path: str = "") -> RingdaqError:
    """What a call on a closed client raises, and one that was under way when it was closed."""
    if not path:
        return ServiceError(f"this client of {address} was closed; connect again")
    method = path.rpartition("/")[2]
    return ServiceError(f"this client of {address} was closed while {method} was under way")


def _packed(error: Any) -> bytes | None:
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY:
            return bytes(value)
    return None


def read_error(error: Any, address: str, path: str) -> RingdaqError:
    """The error the daemon raised, or what gRPC's status means when the daemon had no say."""
    packed = _packed(error)
    if packed is not None:
        return unpack_error(packed)
    make = _BY_CODE.get(error.code().name, _other)
    return make(address, path.rpartition("/")[2], error.details() or error.code().name)


def _unreachable(address: str, method: str, words: str) -> RingdaqError:
    return DaemonUnreachableError(
        f"a daemon should answer {method} at {address}, found: {words}; start one with "
        "'ringdaq daemon', or give the address it printed"
    )


def _refused(address: str, method: str, words: str) -> RingdaqError:
    return AuthenticationError(f"{address} refused {method}: {words}")


def _late(address: str, method: str, words: str) -> RingdaqError:
    return ServiceError(f"{address} did not answer {method} in time: {words}")


def _unknown(address: str, method: str, words: str) -> RingdaqError:
    return VersionMismatchError(
        f"{address} does not know {method} ({words}); use the same version of ringdaq on both ends"
    )


def _exhausted(address: str, method: str, words: str) -> RingdaqError:
    return BusyError(f"{address} has no room for {method}: {words}")


def _other(address: str, method: str, words: str) -> RingdaqError:
    return ServiceError(f"{method} at {address} failed: {words}")


_BY_CODE: dict[str, Callable[[str, str, str], RingdaqError]] = {
    "UNAVAILABLE": _unreachable,
    "UNAUTHENTICATED": _refused,
    "DEADLINE_EXCEEDED": _late,
    "UNIMPLEMENTED": _unknown,
    "RESOURCE_EXHAUSTED": _exhausted,
}
