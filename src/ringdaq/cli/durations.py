"""Lengths of time and sizes as people type them."""

from __future__ import annotations

from typing import Any

import click

from ringdaq.clock import NANOS_PER_SEC


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A length of time above 0, in seconds: `90`, `500ms`, `1.5h`, `1h 30m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from ringdaq.errors import BadRequestError
        from ringdaq.moments import parse_duration

        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            nanos = parse_duration(f"{text}s" if text[-1:].isdigit() else text)
        except BadRequestError:
            nanos = 0
        if nanos <= 0:
            self.fail(
                f"write a time above 0 such as 90, 500ms, 2m or 1.5h; found {value!r}", param, ctx
            )
        return nanos / NANOS_PER_SEC


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
