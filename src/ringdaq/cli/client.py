"""`ringdaq client …`: a daemon over the network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ringdaq.cli.dry_run import show
from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.follow import ending, rows_of
from ringdaq.cli.options import as_json, parameters_option, parse_parameters, remote_options
from ringdaq.cli.output import data, data_json, data_text, plain, say, table
from ringdaq.cli.progress import describe, open_display
from ringdaq.model import RunState


@click.group()
def client() -> None:
    """Use a daemon over the network.

    Without --address and --token: the daemon of this machine, with its own token.
    """


@contextmanager
def connected(address: str | None, token: str | None) -> Iterator[Any]:
    """A client of the daemon at `address`, or of the local one."""
    from ringdaq.client import connect

    with connect(address, token=token) as found:
        yield found


def remote(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its connection as first argument, and the options that say where to."""

    @wraps(command)
    def with_connection(address: str | None, token: str | None, **options: Any) -> None:
        with connected(address, token) as found:
            command(found, **options)

    return remote_options(with_connection)


@client.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What the script is called; default: the file's name.")
@click.option("--meta", multiple=True, metavar="KEY=TEXT", help="A note kept with the script.")
@as_json
@remote
def upload(daemon: Any, file: Path, name: str | None, meta: tuple[str, ...], as_json: bool) -> None:
    """Upload a script; prints its id. The daemon refuses a script that cannot run on its rig."""
    metadata = {key: text for key, _, text in (pair.partition("=") for pair in meta)}
    stored = plain(daemon.upload(file, name=name or file.name, metadata=metadata))
    data_json(stored) if as_json else data(stored["script_id"])


@client.command()
@click.argument("script")
@parameters_option
@click.option("--instrument", "instruments", multiple=True, help="Grant only these instruments.")
@as_json
@remote
def start(
    daemon: Any,
    script: str,
    parameters: tuple[str, ...],
    instruments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Start an uploaded SCRIPT, by id or name; prints the run's id."""
    granted = list(instruments) or None
    run_id = daemon.start(script, parameters=parse_parameters(parameters), instruments=granted)
    data_json({"run_id": run_id}) if as_json else data(run_id)


@client.command()
@click.argument("run")
@as_json
@remote
def status(daemon: Any, run: str, as_json: bool) -> None:
    """Print the status of RUN."""
    found = plain(daemon.status(run))
    if as_json:
        data_json(found)
        return
    recording = found.pop("recording")
    for long in ("log", "trace"):  # the output has the one, --json both
        found.pop(long)
    for key, value in found.items():
        if value not in (None, "", [], {}):
            data(f"{key}: {value}")
    if recording is not None:
        data(f"file: {recording['file']} ({recording['state']})")
        data(table(["stream", "rows", "gaps"], rows_of(recording)))


@client.command()
@click.argument("run")
@as_json
@click.pass_context
@remote_options
def watch(
    ctx: click.Context, run: str, as_json: bool, address: str | None, token: str | None
) -> None:
    """Show RUN until it ends; exit code 0 only if it completed.

    With --json each change is an object on a line of its own.
    """
    last: dict[str, Any] = {}
    display = open_display(quiet=as_json)
    try:
        with connected(address, token) as daemon:
            for found in daemon.watch(run):
                last = plain(found)
                if as_json:
                    data_json(last)
                else:
                    display.show(last["progress_percent"], describe(last))
    finally:
        display.close()
    if not as_json and last:
        data(ending(last))
    ctx.exit(OK if last.get("state") == RunState.COMPLETED else FAILED)


@client.command()
@click.argument("run")
@click.option("--force", is_flag=True, help="Kill it, instead of letting it tidy up.")
@as_json
@remote
def stop(daemon: Any, run: str, force: bool, as_json: bool) -> None:
    """Stop RUN; returns at once. 'ringdaq client watch' tells when it is at rest."""
    state = daemon.stop(run, force=force)
    data_json({"run_id": run, "state": state}) if as_json else data(state)


@client.command()
@click.argument("run")
@as_json
@remote
def pause(daemon: Any, run: str, as_json: bool) -> None:
    """Hold RUN at its next verb or scan point; returns at once."""
    state = daemon.pause(run)
    data_json({"run_id": run, "state": state}) if as_json else data(state)


@client.command()
@click.argument("run")
@as_json
@remote
def resume(daemon: Any, run: str, as_json: bool) -> None:
    """Let a paused RUN go on where it is; returns at once."""
    state = daemon.resume(run)
    data_json({"run_id": run, "state": state}) if as_json else data(state)


@client.command()
@click.argument("channels", nargs=-1)
@click.option("--max-rate", type=float, help="At most so many values a second and channel.")
@click.option("-n", "--batches", type=click.IntRange(min=1), help="End after so many batches.")
@click.option("--seconds", type=float, help="End after this long.")
@as_json
@remote
def stream(
    daemon: Any,
    channels: tuple[str, ...],
    max_rate: float | None,
    batches: int | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Print live values as they come: time in ns, channel, value and unit.

    CHANNELS are stream.channel, or a stream for all of it; default: all streams of rows.
    With --json each batch is an object on a line of its own.
    """
    with daemon.stream(list(channels) or None, max_rate_hz=max_rate, seconds=seconds) as found:
        for batch in itertools.islice(found, batches):
            if as_json:
                data_json(batch.channels)
            else:
                _print_points(batch.channels)


def _print_points(channels: Mapping[str, Any]) -> None:
    for name, points in channels.items():
        if points.dropped:
            say(f"lost {points.dropped} points of {name}: received too slowly")
        for nanos, value in zip(points.times, points.values, strict=True):
            shown = value if isinstance(value, str) else f"{value:.9g} {points.unit}".rstrip()
            data(f"{nanos}  {name}  {shown}")


@client.command()
@as_json
@remote
def scripts(daemon: Any, as_json: bool) -> None:
    """List the uploaded scripts."""
    _print_list(
        plain(daemon.scripts()), ["script_id", "name", "parameters", "uploaded_nanos"], as_json
    )


@client.command()
@click.argument("script")
@as_json
@remote
def script(daemon: Any, script: str, as_json: bool) -> None:
    """Print the text of an uploaded SCRIPT, by id or name."""
    text = daemon.script_text(script)
    data_json({"script": script, "content": text}) if as_json else data_text(text)


@client.command("dry-run")
@click.argument("script")
@parameters_option
@click.option("--instrument", "instruments", multiple=True, help="Grant only these instruments.")
@as_json
@click.pass_context
@remote_options
def dry_run_(
    ctx: click.Context,
    script: str,
    parameters: tuple[str, ...],
    instruments: tuple[str, ...],
    as_json: bool,
    address: str | None,
    token: str | None,
) -> None:
    """Compute what a run of an uploaded SCRIPT would take; nothing real is touched."""
    with connected(address, token) as daemon:
        granted = list(instruments) or None
        report = plain(daemon.dry_run(script, parse_parameters(parameters), granted))
    if as_json:
        data_json(report)
    else:
        pairs = report["streams"].items()
        show({**report, "streams": {n: {"rows": r, "bytes": b} for n, (r, b) in pairs}})
    ctx.exit(OK if report["state"] == RunState.COMPLETED else FAILED)


@client.command()
@click.option("--script", help="Only runs of this script id.")
@click.option("--state", help="Only runs in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@as_json
@remote
def runs(daemon: Any, script: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    found = plain(daemon.runs(script_id=script, state=state, limit=limit))
    _print_list(found, ["run_id", "script_name", "state", "progress_percent", "user"], as_json)


@client.command()
@as_json
@remote
def info(daemon: Any, as_json: bool) -> None:
    """Print what the daemon is: version, rig, uptime, features, instruments."""
    found = plain(daemon.info())
    if as_json:
        data_json(found)
        return
    for key, value in found.items():
        shown = [i["name"] for i in value] if key == "instruments" else value
        data(f"{key}: {', '.join(shown) if isinstance(shown, list) else shown}")


def _print_list(found: list[dict[str, Any]], keys: list[str], as_json: bool) -> None:
    if as_json:
        data_json(found)
        return
    if not found:
        say("none")
        return
    data(table(keys, [[entry.get(key) for key in keys] for entry in found]))
