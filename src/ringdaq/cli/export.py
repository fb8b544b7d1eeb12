"""`ringdaq export`: a recording in another format."""

from __future__ import annotations

from pathlib import Path

import click

from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say

FORMATS = ("parquet", "arrow", "csv", "zarr", "edf", "bdf", "brainvision", "bids", "mat")


@click.command()
@click.argument("recording", metavar="RUN|FILE")
@click.option("--to", "form", required=True, type=click.Choice(FORMATS))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The new directory; default: the recording's name with the format behind it, here.",
)
@click.option("--stream", "streams", multiple=True, help="Only this stream; several may be given.")
@as_json
def export(
    recording: str, form: str, output: Path | None, streams: tuple[str, ...], as_json: bool
) -> None:
    """Write a recording into a new directory, in another format; prints the files.

    RUN is an id that the daemon of this machine knows, or its beginning.
    What the format cannot hold is told on stderr.
    """
    from ringdaq.recorder.export import export as write

    file = Path(recording)
    if not file.is_file():
        file = _file_of(recording)
    done = write(file, form, output or Path(f"{file.stem}.{form}"), streams=streams)
    for words in done.left_out:
        say(f"left out: {words}")
    if as_json:
        data_json({"files": done.files, "left_out": done.left_out})
        return
    for path in done.files:
        data(str(path))


def _file_of(run: str) -> Path:
    from ringdaq.cli.archive import open_archive

    with open_archive(None, None, None) as archive:
        return Path(archive.get(run)["file"])
