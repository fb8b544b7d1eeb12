"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
rig_option = click.option(
    "--rig",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The rig file.",
)
parameters_option = click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the script; may be given several times.",
)


def remote_options(command: F) -> F:
    """Add the options that say which daemon, and with which token."""
    command = click.option(
        "--token", envvar="RINGDAQ_TOKEN", metavar="TOKEN", help="Default: the local daemon's own."
    )(command)
    return click.option(
        "--address",
        envvar="RINGDAQ_ADDRESS",
        metavar="HOST:PORT",
        help="Default: the local daemon's own.",
    )(command)


def parse_parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`key=value` pairs as a mapping; a value is JSON where it can be, else text."""
    return dict(_parse_pair(pair) for pair in pairs)


def _parse_pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals or not key.isidentifier():
        raise click.BadParameter(
            f"a parameter must be KEY=VALUE with an identifier as key; found {pair!r}",
            param_hint="-p",
        )
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text
