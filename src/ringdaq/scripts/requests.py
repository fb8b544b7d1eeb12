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


class ProtocolError(Exception):
    """The script's process sent what ours never sends."""


def verb_request(params: list[Any], grant: Grant) -> tuple[str, str, list[Any], dict[str, Any]]:
    """Instrument, verb, arguments, keywords; `GrantError` for what was not granted."""
    instrument, verb, args, kwargs = _exactly(params, str, str, list, dict)
    if instrument not in grant:
        raise GrantError(f"the run was not granted the instrument {instrument!r}")
    if verb not in grant[instrument]:
        raise GrantError(f"the run was not granted the verb {verb!r} of {instrument!r}")
    if kwargs and not all(isinstance(key, str) for key in kwargs):
        raise ProtocolError("a verb's keywords must be text")
    return instrument, verb, args, kwargs


Region = tuple[float, float]
"""Where in the run something begins, and how much of the run it is: 0 to 1."""


def plan_request(params: list[Any]) -> tuple[str, list[Any], dict[str, Any], Region]:
    """The plan's name, its arguments with instruments by their names, its region."""
    name, args, kwargs, region = _exactly(params, str, list, dict, list)
    if not all(isinstance(key, str) for key in kwargs):
        raise ProtocolError("a plan's keywords must be text")
    if len(region) != 2 or not all(isinstance(x, float) and 0 <= x <= 1 for x in region):
        raise ProtocolError(f"a plan's region must be two numbers from 0 to 1; found {region!r}")
    return name, args, kwargs, (region[0], region[1])


def emit_request(params: list[Any]) -> dict[str, Scalar]:
    """The values of one row; NaN and infinities are allowed, since they may be measured."""
    (values,) = _exactly(params, dict)
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, float | int | bool | str):
            raise ProtocolError("emit must have numbers, truth values or texts by name")
        if not name.isidentifier() or name == RESERVED_COLUMN:
            raise BadRequestError(f"emit cannot name a column {name!r}; take another name")
    return dict(values)


def sleep_request(params: list[Any]) -> float:
    """The seconds to sleep."""
    (seconds,) = _exactly(params, float)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ProtocolError(f"sleep takes 0 seconds or more; found {seconds!r}")
    return float(seconds)


def params_of(message: Message) -> list[Any]:
    """The request's parameters."""
    params = message.get("params")
    if not isinstance(params, list):
        raise ProtocolError("a script's request needs a list of parameters")
    return params


def _exactly(params: list[Any], *kinds: type) -> list[Any]:
    if tuple(map(type, params)) != kinds:
        raise ProtocolError(
            f"a script's request must have {[k.__name__ for k in kinds]}; "
            f"found {[type(p).__name__ for p in params]}"
        )
    return params
