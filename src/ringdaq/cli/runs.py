"""`ringdaq runs …`: recordings found, annotated, compared, deleted."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ringdaq.cli.archive import Archive, open_archive
from ringdaq.cli.options import as_json, parse_parameters, remote_options
from ringdaq.cli.output import data, data_json, say, table


@click.group()
def runs() -> None:
    """Find, annotate, compare and delete recordings.

    Asked is the daemon of this machine; --address names another, --data a directory of recordings
    that needs no daemon.
    A RUN is an id as 'runs find' prints it, or its beginning.
    """


def archived(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its catalogue as first argument, and the options that say which."""

    @wraps(command)
    def with_archive(
        data_directory: Path | None, address: str | None, token: str | None, **options: Any
    ) -> None:
        with open_archive(data_directory, address, token) as found:
            command(found, **options)

    return click.option(
        "--data",
        "data_directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="A directory of recordings; no daemon is asked.",
    )(remote_options(with_archive))


@runs.command()
@click.argument("wish", default="")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True)
@as_json
@archived
def find(archive: Archive, wish: str, limit: int, as_json: bool) -> None:
    """List recordings that fulfil WISH, the newest first; without it, all.

    A wish compares keys with texts and numbers: "sample = 'X' and temperature > 300",
    "'scan' in name", "start > '2026-03-01' and not simulated", "tag = 'good'".
    Keys are id, name, script, user, state, start, end, duration (s), rows, lost_rows, size,
    sealed, simulated, note, tag, stream, instrument, the script's parameters, settings as
    instrument.setting, and those that 'runs annotate' added.
    """
    found = archive.find(wish, limit)
    if as_json:
        data_json([{k: v for k, v in one.items() if k != "about"} for one in found])
        return
    if not found:
        say("none")
        return
    rows = [_row(one) for one in found]
    data(table(["run", "name", "state", "start", "seconds", "rows", "user", "tags"], rows))


def _row(run: dict[str, Any]) -> tuple[object, ...]:
    return (
        run["recording_id"],
        run["title"],
        run["state"],
        _time(run["start_nanos"]),
        f"{(run['end_nanos'] - run['start_nanos']) / 1e9:.1f}",
        run["rows"],
        run["user"],
        run["tags"],
    )


def _time(nanos: int) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(nanos // 10**9).astimezone().isoformat(" ", "seconds")[:19]


@runs.command()
@click.argument("run")
@as_json
@archived
def show(archive: Archive, run: str, as_json: bool) -> None:
    """Print what is known of RUN."""
    found = archive.get(run)
    if as_json:
        data_json(found)
        return
    for key in ("recording_id", "title", "state", "script", "user", "file", "note", "tags"):
        if found[key]:
            data(f"{key}: {', '.join(found[key]) if key == 'tags' else found[key]}")
    data(f"start: {_time(found['start_nanos'])}")
    for key, value in {**found["about"]["script"]["parameters"], **found["keys"]}.items():
        data(f"{key}: {value}")
    streams = [(s["stream"], s["kind"], s["rows"], s["gap_rows"]) for s in found["streams"]]
    data(table(["stream", "kind", "rows", "lost"], streams))


@runs.command()
@click.argument("run")
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--note", help="A text; '' takes it away.")
@click.option("--tag", "add_tags", multiple=True, help="Add a tag.")
@click.option("--untag", "remove_tags", multiple=True, help="Take a tag away.")
@as_json
@archived
def annotate(
    archive: Archive,
    run: str,
    keys: tuple[str, ...],
    note: str | None,
    add_tags: tuple[str, ...],
    remove_tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Note something with RUN: keys to find it by, a text, tags.

    A value is JSON where it can be, else text; null takes a key away.
    """
    tags = {"add_tags": list(add_tags), "remove_tags": list(remove_tags)}
    found = archive.annotate(run, {"note": note, "keys": parse_parameters(keys), **tags})
    shown = {key: found[key] for key in ("recording_id", "note", "tags", "keys")}
    data_json(shown) if as_json else data(found["recording_id"])


@runs.command()
@click.argument("left")
@click.argument("right")
@as_json
@archived
def compare(archive: Archive, left: str, right: str, as_json: bool) -> None:
    """Print what differs between two runs: parameters, settings, versions, keys, script, rig."""
    found = archive.compare(left, right)
    if as_json:
        data_json(found)
        return
    parts = ("parameters", "settings", "versions", "keys")
    rows = [(part, name, *pair) for part in parts for name, pair in found[part].items()]
    if rows:
        data(table(["what", "name", left, right], rows))
    for line in (*found["script"], *found["rig"]):
        data(line)
    if not rows and not found["script"] and not found["rig"]:
        say("no difference")


@runs.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@archived
def delete(archive: Archive, run: str, yes: bool) -> None:
    """Delete RUN for good: its file, its notes and its journal."""
    found = archive.get(run)
    if not yes:
        click.confirm(f"delete {found['file']} for good?", abort=True, err=True)
    data(archive.delete(found["recording_id"], found["recording_id"]))


@runs.command()
@as_json
@archived
def reindex(archive: Archive, as_json: bool) -> None:
    """Make the catalogue anew from the files alone."""
    found = archive.reindex()
    for name in found["refused"]:
        say(f"no recording: {name}")
    data_json(found) if as_json else data(f"{len(found['read'])} recordings")


@runs.command()
@click.argument("run")
@archived
def documents(archive: Archive, run: str) -> None:
    """Print RUN as Bluesky event-model documents, one JSON array [name, document] a line."""
    for step in archive.documents(run):
        data_json(step)
