"""Plain values and errors as messages of the contract, for both ends."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ringdaq.errors import BadRequestError, MissingExtraError, RingdaqError, from_wire, to_wire

if TYPE_CHECKING:
    from ringdaq.v1 import types_pb2

ERROR_KEY = "ringdaq-error-bin"
"""Trailing metadata of a failed call: an ErrorDetail."""
STANDS_KEY = "ringdaq-stands"
"""Initial metadata of a subscription that tells nothing at first: it has begun."""
MAX_REQUEST_BYTES = 16 << 20
MAX_RESPONSE_BYTES = 256 << 20
"""A record of large frames goes in one message; gRPC's own limit of 4 MiB would refuse it."""
MAX_INT = (1 << 63) - 1
# HTTP/2 peers refuse trailing metadata of more than about 8 KiB.
_MAX_ERROR_BYTES = 6_000
_MAX_TEXT_CHARS = 600


def require_grpc() -> None:
    """Get gRPC ready for its first import; raises `MissingExtraError` where it is not installed."""
    # gRPC's fork handlers deadlock a process that forks while calls are open; clients look out
    # for forks themselves.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        importlib.import_module("grpc")
        importlib.import_module("google.protobuf")
    except ImportError as error:
        raise MissingExtraError(
            "talking over the network needs grpcio; install it with: pip install 'ringdaq[net]'",
            extra="net",
        ) from error


def require_websockets() -> None:
    """Raise `MissingExtraError` where the WebSocket library is not installed."""
    try:
        importlib.import_module("websockets")
    except ImportError as error:
        raise MissingExtraError(
            "serving browsers needs websockets; install it with: pip install 'ringdaq[net]'",
            extra="net",
        ) from error


def to_value(plain: object) -> types_pb2.Value:
    """A plain value as a message; raises `BadRequestError` for what has no place in one."""
    from ringdaq.v1 import types_pb2

    value = types_pb2.Value()
    match plain:
        case None:
            pass
        case bool():
            value.bool_value = plain
        case int():
            value.int_value = _checked_int(plain)
        case float():
            value.double_value = plain
        case str():
            value.string_value = plain
        case bytes() | bytearray() | memoryview():
            value.bytes_value = bytes(plain)
        case Mapping():
            value.map_value.SetInParent()
            fill_values(value.map_value.entries, plain)
        case list() | tuple():
            value.list_value.values.extend(to_value(v) for v in plain)
            value.list_value.SetInParent()
        case _:
            value.CopyFrom(to_value(_unboxed(plain)))
    return value


def _checked_int(number: int) -> int:
    if not -MAX_INT - 1 <= number <= MAX_INT:
        raise BadRequestError(f"a whole number must fit into 64 bits; found {number}")
    return number


def _unboxed(plain: object) -> object:
    """The Python value in a NumPy number or array."""
    unbox = getattr(plain, "tolist", None)
    if unbox is None:
        raise BadRequestError(
            "a value must be None, a truth value, a number, text, bytes, a list or a map of these; "
            f"found {type(plain).__name__}"
        )
    unboxed: object = unbox()
    return unboxed


def fill_values(target: Any, plain: Mapping[Any, object]) -> None:
    """Put plain values by name into a message's `map<string, Value>`."""
    for key, value in plain.items():
        target[str(key)].CopyFrom(to_value(value))


def from_value(value: types_pb2.Value) -> Any:
    """The plain value that `to_value` took."""
    kind = value.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "list_value":
        return from_list(value.list_value.values)
    if kind == "map_value":
        return from_map(value.map_value.entries)
    return getattr(value, kind)


def from_list(values: Iterable[types_pb2.Value]) -> list[Any]:
    """Plain values in order."""
    return [from_value(v) for v in values]


def from_map(entries: Mapping[str, types_pb2.Value]) -> dict[str, Any]:
    """Plain values by name."""
    return {key: from_value(value) for key, value in entries.items()}


def to_json(plain: object) -> str:
    """Plain values as JSON; NaN and infinities become strings, as in proto3's JSON."""
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(plain), ensure_ascii=False, allow_nan=False)


def _finite(plain: object) -> object:
    if isinstance(plain, float) and not math.isfinite(plain):
        return "NaN" if math.isnan(plain) else "Infinity" if plain > 0 else "-Infinity"
    if isinstance(plain, Mapping):
        return {key: _finite(value) for key, value in plain.items()}
    return [_finite(one) for one in plain] if isinstance(plain, list | tuple) else plain


def to_error_detail(wire: Mapping[str, Any]) -> types_pb2.ErrorDetail:
    """What `errors.to_wire` gave, as a message."""
    from ringdaq.v1 import types_pb2

    detail = types_pb2.ErrorDetail(
        error_class=str(wire.get("class", "")), message=str(wire.get("message", ""))
    )
    fill_values(detail.details, wire.get("details") or {})
    return detail


def from_error_detail(detail: types_pb2.ErrorDetail) -> dict[str, Any]:
    """What `errors.from_wire` takes."""
    return {
        "class": detail.error_class,
        "message": detail.message,
        "details": from_map(detail.details),
    }


def pack_error(error: BaseException) -> bytes:
    """An error for the trailing metadata; long texts are cut so that HTTP/2 carries it."""
    detail = to_error_detail(to_wire(error))
    if detail.ByteSize() > _MAX_ERROR_BYTES:
        detail = to_error_detail(_shortened(to_wire(error)))
    return detail.SerializeToString()


def status_text(error: BaseException) -> str:
    """An error's message for the status line of a call, for clients that know only gRPC."""
    return _cut(str(to_wire(error)["message"]))


def _shortened(wire: Mapping[str, Any]) -> dict[str, Any]:
    details = {
        key: _cut(value) if isinstance(value, str) else value
        for key, value in wire["details"].items()
        if isinstance(value, str | int | float | None)
    }
    return {"class": wire["class"], "message": _cut(wire["message"]), "details": details}


def _cut(text: str) -> str:
    """The text's begin and end when it is too long: a traceback says most at its end."""
    if len(text) <= _MAX_TEXT_CHARS:
        return text
    half = _MAX_TEXT_CHARS // 2
    return f"{text[:half]} … {text[-half:]}"


def unpack_error(data: bytes) -> RingdaqError:
    """The error that `pack_error` packed."""
    from ringdaq.v1 import types_pb2

    return from_wire(from_error_detail(types_pb2.ErrorDetail.FromString(data)))
