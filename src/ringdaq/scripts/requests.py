"""Check what a script's process asks for; it may be anybody's code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ringdaq.control import Message
from ringdaq.errors import BadRequestError, GrantError
from ringdaq.scripts.language import RESERVED_COLUMN

Grant = Mapping[str, frozenset[str]]
"""The verbs that a run may use, by instrument."""
Scalar = float | int | bool | str
MAX_EMIT_VALUES = 256


def verb_request(params: list[Any], grant: Grant) -> tuple[str, str, list[Any], dict[str, Any]]:
    """Instrument, verb, arguments, keywords; `GrantError` for what was not granted."""
    instrument, verb, args, kwargs = _exactly(params, str, str, list, dict)
    if instrument not in grant:
        raise GrantError(f"the run was not granted the instrument {instrument!r}")
    if verb not in grant[instrument]:
        raise GrantError(f"the run was not granted the verb {verb!r} of {instrument!r}")
    if not all(isinstance(key, str) for key in kwargs):
        raise BadRequestError("a verb's keywords must be text")
    return instrument, verb, args, kwargs


def emit_request(params: list[Any]) -> dict[str, Scalar]:
    """The values of one row; NaN and infinities are allowed, since they may be measured."""
    (values,) = _exactly(params, dict)
    if not 0 < len(values) <= MAX_EMIT_VALUES:
        raise BadRequestError(
            f"emit takes 1 to {MAX_EMIT_VALUES} values at a time; found {len(values)}"
        )
    for name, value in values.items():
        if not _is_column(name):
            raise BadRequestError(f"emit takes names of up to 100 characters; found {name!r}")
        if not _is_scalar(value):
            raise BadRequestError(f"emit {name!r} takes a number, a truth value or a text")
    return dict(values)


def sleep_request(params: list[Any]) -> float:
    """The seconds to sleep."""
    (seconds,) = _exactly(params, float)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise BadRequestError(f"sleep takes 0 seconds or more; found {seconds!r}")
    return float(seconds)


def params_of(message: Message) -> list[Any]:
    """The request's parameters."""
    params = message.get("params")
    if not isinstance(params, list):
        raise BadRequestError("a script's request needs a list of parameters")
    return params


def _exactly(params: list[Any], *kinds: type) -> list[Any]:
    if [type(p) for p in params] != list(kinds):
        raise BadRequestError(
            f"a script's request must have {[k.__name__ for k in kinds]}; "
            f"found {[type(p).__name__ for p in params]}"
        )
    return params


def _is_column(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.isidentifier()
        and name != RESERVED_COLUMN
        and len(name) <= 100
    )


def _is_scalar(value: object) -> bool:
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, float | str)
