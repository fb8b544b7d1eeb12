"""`ringdaq streams | tail`: the rings of this machine, read directly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringdaq.cli.local import find_daemon
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, plain, say, table
from ringdaq.cli.rig_rings import duration, mib

if TYPE_CHECKING:
    from ringdaq.model import StreamSpec
    from ringdaq.streams import RingStatistics


rings_option = click.option(
    "--rings",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the rings lie.  [default: where the daemon of this user has them]",
)


@click.command()
@rings_option
@as_json
def streams(rings: Path | None, as_json: bool) -> None:
    """List the streams on this machine, and how far back their rings reach.

    `holds` is from the oldest row left to the newest, `full` what that will be once the ring is
    full, both at the rate of the rows that are left.
    """
    from ringdaq.streams import RingDirectory, StreamReader

    directory = RingDirectory(rings or find_daemon().ring_directory)
    found = []
    for name in directory.streams():
        with StreamReader.open(directory.newest(name)) as reader:
            found.append(_describe(reader.spec, reader.statistics()))
    if as_json:
        data_json(found)
        return
    headings = ["name", "kind", "channels", "rows", "rows_per_sec", "holds", "full", "size"]
    data(table([*headings, "writer"], [_row(stream) for stream in found]))
    used = sum(stream["statistics"]["used_bytes"] for stream in found)
    room = sum(stream["statistics"]["capacity_bytes"] for stream in found)
    data(f"{mib(used)} of {mib(room)} in use: {directory.path}")


def _describe(spec: StreamSpec, found: RingStatistics) -> dict[str, Any]:
    more = {
        "held_secs": found.held_secs,
        "full_secs": found.full_secs,
        "rows_per_sec": found.rows_per_sec,
        "bytes_per_sec": found.bytes_per_sec,
    }
    return {**spec.to_dict(), "statistics": found._asdict() | more}


def _row(stream: dict[str, Any]) -> tuple[object, ...]:
    numbers = stream["statistics"]
    channels = [c["name"] for c in stream["channels"]]
    shown = channels if len(channels) <= 4 else [*channels[:3], f"… {len(channels)} in all"]
    writer = "closed" if numbers["closed"] else "alive" if numbers["writer_alive"] else "gone"
    rate = numbers["rows_per_sec"]
    return (
        stream["name"] + (" (simulated)" if stream["simulated"] else ""),
        stream["kind"],
        shown,
        numbers["rows"],
        None if rate is None else f"{rate:,.4g}" if rate < 1e4 else f"{rate:,.0f}",
        duration(numbers["held_secs"]),
        duration(numbers["full_secs"]),
        mib(numbers["capacity_bytes"]),
        writer,
    )


@click.command()
@click.argument("stream")
@click.option("-n", "--rows", type=click.IntRange(min=1), help="End after this many rows.")
@click.option("--seconds", type=float, help="End after this long.")
@rings_option
@as_json
def tail(
    stream: str, rows: int | None, seconds: float | None, rings: Path | None, as_json: bool
) -> None:
    """Print a stream's rows as they come, until its end or Ctrl-C.

    With --json each row is an object on a line of its own.
    Rows that came too fast to be read are counted on stderr.
    """
    left = rows
    for row in _rows(stream, seconds, rings or find_daemon().ring_directory):
        if as_json:
            data_json(row)
        else:
            data("  ".join(f"{key}={_short(value)}" for key, value in row.items()))
        if left is not None:
            left -= 1
            if left == 0:
                return


def _rows(name: str, seconds: float | None, rings: Path) -> Iterator[dict[str, Any]]:
    """The stream's rows from now on, for at most `seconds`."""
    from ringdaq.errors import OverrunError
    from ringdaq.streams import attach

    end = None if seconds is None else time.monotonic() + seconds
    with attach(name, directory=rings) as stream:
        following = stream.follow(timeout=seconds)
        while True:
            try:
                for record in following:
                    if end is not None and time.monotonic() > end:
                        return
                    yield from rows_of(record)
            except OverrunError as lost:
                say(f"lost {lost.lost_records} records ({lost.lost_rows} rows): read too slowly")
                continue
            return


def rows_of(record: Any) -> Iterator[dict[str, Any]]:
    """A record's rows as plain values; a missing value is `None`."""
    columns, masks, times = record.columns(), record.masks(), record.times()
    for index in range(record.rows):
        row: dict[str, Any] = {"time": int(times[index])}
        for name, column in columns.items():
            if name == "time":
                continue
            missing = name in masks and masks[name][index]
            row[name] = None if missing else _value(column[index])
        yield row


def _value(value: Any) -> Any:
    if getattr(value, "ndim", 0) < 2:
        return plain(value)
    return {
        "shape": list(value.shape),
        "least": plain(value.min()),
        "mean": float(value.mean()),
        "greatest": plain(value.max()),
    }


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['shape']} {value['least']}…{value['greatest']} mean {value['mean']:.4g}"
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:8]))
        return f"[{shown}{', …' if len(value) > 8 else ''}]"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
