"""Lengths of time as people type them: `90`, `500ms`, `2m`, `1.5h`."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*")


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A length of time above 0, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None or match[2] not in _UNITS or not float(match[1]):
            self.fail(
                f"write a time above 0 such as 90, 500ms, 2m or 1.5h; found {value!r}", param, ctx
            )
        return float(match[1]) * _UNITS[match[2]]


class ByteSize(click.ParamType):  # type: ignore[type-arg]
    """A size above 0, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from ringdaq.config.values import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(int(value) if str(value).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
