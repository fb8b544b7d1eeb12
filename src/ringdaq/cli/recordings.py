"""`ringdaq describe | recover`: recordings, without a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table

COUNTERS = ("produced_rows", "durable_rows", "gap_rows", "gaps")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def describe(file: Path, as_json: bool) -> None:
    """Say what is in a recording: rows, gaps and losses of each stream.

    The file may be growing.
    """
    from ringdaq.recorder import describe_file

    found = describe_file(file)
    if as_json:
        data_json(found)
        return
    for key in ("file", "run_id", "title", "state", "sealed", "start_time", "end_time"):
        data(f"{key}: {found[key]}")
    _print_streams(found["streams"])
    for gap in found["gaps"]:
        data(f"gap: {', '.join(f'{key} {value}' for key, value in gap.items())}")


def _print_streams(streams: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [(name, *(counts[key] for key in COUNTERS)) for name, counts in streams.items()]
    data(table(["stream", *COUNTERS], rows))


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file; default: where the recording was.",
)
@as_json
def recover(directory: Path, output: Path | None, as_json: bool) -> None:
    """Rebuild a recording from the journal in DIRECTORY.

    What is damaged there becomes a declared gap.
    """
    from ringdaq.recorder import recover as rebuild

    report = rebuild(directory, output=output)
    for damage in report.damage:
        say(f"damaged: {damage.reason}, bytes {damage.start} to {damage.end} of {damage.path}")
    if as_json:
        data_json(report.to_plain())
        return
    data(f"file: {report.file}")
    data(f"state: {report.state}")
    _print_streams(report.streams)
