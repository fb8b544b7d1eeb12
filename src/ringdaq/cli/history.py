"""`ringdaq history STREAM`: what a stream held, out of rings and files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import click

from ringdaq.cli.durations import Duration
from ringdaq.cli.local import find_daemon
from ringdaq.cli.options import as_json, remote_options
from ringdaq.cli.output import data, data_json, plain, say
from ringdaq.clock import NANOS_PER_SEC

DEFAULT_POINTS = 40


@click.command()
@click.argument("stream")
@click.option("--last", type=Duration(), help="So long up to the end, such as 5m or 90.")
@click.option("--since", metavar="MOMENT", help="Date and time, ns, or how long ago.")
@click.option("--until", metavar="MOMENT", help="The same; default: now.")
@click.option(
    "--points",
    type=click.IntRange(min=4, max=1_000_000),
    default=DEFAULT_POINTS,
    show_default=True,
    help="At most so many points a channel: least and greatest of bins of rows.",
)
@click.option("--exact", is_flag=True, help="Every row as it is, instead of --points.")
@click.option("--channel", "channels", multiple=True, help="Only these channels.")
@as_json
@remote_options
def history(
    stream: str,
    last: float | None,
    since: str | None,
    until: str | None,
    points: int,
    exact: bool,
    channels: tuple[str, ...],
    as_json: bool,
    address: str | None,
    token: str | None,
) -> None:
    """Print what STREAM held, from the rings and, where they end, from recorded files.

    Each line is a row, or a bin of rows with the least and the greatest value of each channel.
    Gaps go to stderr. Nothing is asked of the instruments.
    With --json it is one object: channels by name, times in ns, gaps.
    """
    from ringdaq.moments import parse_moment

    end = None if until is None else parse_moment(until)
    begin = None if since is None else parse_moment(since)
    if last is not None:
        begin = parse_moment("now" if end is None else end) - round(last * NANOS_PER_SEC)
    with _desk(address, token) as ask:
        found = ask(stream, begin, end, None if exact else points, list(channels))
    _print_json(found) if as_json else _print_lines(found)


@contextmanager
def _desk(address: str | None, token: str | None) -> Iterator[Any]:
    """Who answers: the daemon at an address, or this process, out of rings and files here."""
    if address is not None:
        from ringdaq.client import connect

        with connect(address, token=token) as client:
            yield lambda stream, begin, end, points, channels: client.history(
                stream, begin, end, points, channels=channels
            )
        return
    from ringdaq.gateway.history import HistoryDesk
    from ringdaq.recorder.catalogue import Catalogue

    daemon = find_daemon()
    desk = HistoryDesk(daemon.ring_directory, lambda: Catalogue(daemon.data_directory))
    try:
        yield lambda stream, begin, end, points, channels: desk.query(
            stream, begin, end, max_points=points, channels=channels
        )
    finally:
        desk.close()


def _print_json(found: Any) -> None:
    sides = {
        name: {"low": found.low(name), "high": found.high(name)}
        if found.folded
        else {"values": found.low(name)}
        for name in found.channels
    }
    channels = {name: {k: plain(v) for k, v in side.items()} for name, side in sides.items()}
    gaps = [plain(gap) for gap in found.gaps]
    counts = {"rows": found.counts} if found.folded else {}
    data_json(
        {"stream": found.spec.name, "folded": found.folded, "times": found.times}
        | counts
        | {"channels": channels, "gaps": gaps}
    )


def _print_lines(found: Any) -> None:
    for part in found.parts:
        for row, nanos in enumerate(part.first_nanos):
            shown = [_cell(name, part, row) for name in part.low]
            data(f"{nanos}  " + "  ".join(shown))
    for gap in found.gaps:
        secs = (gap.last_nanos - gap.first_nanos) / 1e9
        rows = "" if gap.rows is None else f", {gap.rows} rows"
        say(f"gap: {secs:.3f} s after {gap.first_nanos}{rows}: {gap.reason}")


def _cell(name: str, part: Any, row: int) -> str:
    low = part.low[name][row]
    if getattr(low, "ndim", 0):
        return f"{name}={list(low.shape)} {low.min():.6g}…{low.max():.6g}"
    if not part.folded:
        gone = name in part.missing and part.missing[name][row]
        return f"{name}={None if gone else str(low)}"
    return f"{name}={_short(low)}…{_short(part.high[name][row])}"


def _short(value: Any) -> str:
    """A bound of a bin, a fraction with six digits."""
    fraction = isinstance(value, Real) and not isinstance(value, Integral)
    return f"{value:.6g}" if fraction else str(value)
