"""The voices of the command line: data on stdout, talk on stderr."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ringdaq.visible import visible


def data(text: str) -> None:
    """Print a result; what a script or an instrument put into it does not steer the terminal."""
    click.echo(visible(text))


def data_text(text: str) -> None:
    """Print somebody's text: unchanged into a file or a pipe, with visible controls on a screen."""
    click.echo(visible(text) if sys.stdout.isatty() else text, color=True)


def say(text: str) -> None:
    """Tell the person at the terminal."""
    click.echo(visible(text), err=True)


def data_json(value: object) -> None:
    """Print a result as one line of JSON."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    click.echo(text.translate(_LATE_CONTROLS))


def plain(value: Any) -> Any:
    """The value as JSON can carry it; NaN and infinities become strings, as in proto3's JSON."""
    if isinstance(value, str):
        return str(value)  # the plain text of an enum's member
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE[str(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # an array or a number of numpy, without importing it
        return plain(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [plain(v) for v in value]
    return str(value)


# Those that JSON lets through, and a terminal obeys.
_LATE_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def shown(path: str) -> str:
    """The path as one would type it here: relative where it is below the working folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in columns as wide as their widest cell."""
    cells = [list(headings), *([_cell(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "-"
    return str(value)
