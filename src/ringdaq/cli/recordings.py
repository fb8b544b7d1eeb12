"""`ringdaq describe | recover`: recordings, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def describe(file: Path, as_json: bool) -> None:
    """Say what is in a recording: rows, gaps and losses of each stream."""
    from ringdaq.recorder import describe_file

    found: dict[str, Any] = describe_file(file)
    if as_json:
        data_json(found)
        return
    for key, value in found.items():
        if key != "streams":
            data(f"{key}: {value}")
    print_streams(found["streams"])


def print_streams(streams: dict[str, Any]) -> None:
    """A table with a line a stream."""
    names = sorted({key for counts in streams.values() for key in counts})
    data(table(["stream", *names], [(s, *(c.get(n) for n in names)) for s, c in streams.items()]))


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
@as_json
def recover(directory: Path, output: Path | None, as_json: bool) -> None:
    """Rebuild a recording from its journal DIRECTORY."""
    from ringdaq.recorder import recover as rebuild

    report = rebuild(directory, output=output)
    if as_json:
        data_json(report)
    else:
        say("rebuilt from the journal")
        data(str(report))
