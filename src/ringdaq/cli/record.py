"""`ringdaq record | save`: streams to files, from now on or after the fact."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from ringdaq.cli.durations import ByteSize, Duration
from ringdaq.cli.exit_codes import FAILED
from ringdaq.cli.follow import Interrupts
from ringdaq.cli.local import find_daemon
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, shown, table
from ringdaq.control import ControlClient

SEAL_SECS = 120.0
POLL_SECS = 0.1
SHOW_SECS = 1.0

streams_option = click.option(
    "--stream",
    "streams",
    multiple=True,
    metavar="NAME",
    help="May be given several times, and hold `*`; default: all.",
)
title_option = click.option("--title", help="A part of the file's name.")


@click.command()
@streams_option
@title_option
@click.option("--for", "for_secs", type=Duration(), help="Stop by itself after this time.")
@click.option("--rotate-every", type=Duration(), help="Begin a new file after this time.")
@click.option("--rotate-size", type=ByteSize(), help="Begin a new file at this size.")
@click.option("--detach", is_flag=True, help="Return at once; the daemon records on.")
@click.option("--list", "show_list", is_flag=True, help="List the recordings that go on.")
@click.option("--stop", "stop_id", metavar="ID", help="Stop a recording that goes on.")
@as_json
def record(
    streams: tuple[str, ...],
    title: str | None,
    for_secs: float | None,
    rotate_every: float | None,
    rotate_size: int | None,
    detach: bool,
    show_list: bool,
    stop_id: str | None,
    as_json: bool,
) -> None:
    """Record streams of the daemon of this machine, beside its runs, until Ctrl-C."""
    control = find_daemon().connect()
    try:
        if show_list:
            _list(control.call("recordings.list"), as_json)
        elif stop_id is not None:
            _stop(control, stop_id, as_json)
        else:
            asked = {
                "streams": list(streams),
                "title": title or "recording",
                "rotate_secs": rotate_every,
                "rotate_bytes": rotate_size,
            }
            status = control.call("recordings.start", asked)
            _go_on(control, status, for_secs, detach, as_json)
    finally:
        control.close()


def _go_on(
    control: ControlClient,
    status: Mapping[str, Any],
    for_secs: float | None,
    detach: bool,
    as_json: bool,
) -> None:
    recording_id = status["recording_id"]
    if detach:
        if as_json:
            data_json(status)
        else:
            data(recording_id)
        return
    say(f"recording {recording_id}; Ctrl-C ends it")
    end = None if for_secs is None else time.monotonic() + for_secs
    with Interrupts() as interrupts:
        show_at = 0.0
        while not interrupts.count and (end is None or time.monotonic() < end):
            if time.monotonic() >= show_at:
                say(progress(control.call("recordings.status", {"recording_id": recording_id})))
                show_at = time.monotonic() + SHOW_SECS
            time.sleep(POLL_SECS)
        _stop(control, recording_id, as_json)


def progress(status: Mapping[str, Any]) -> str:
    """A line on how far a recording is."""
    streams: Mapping[str, Mapping[str, int]] = status.get("streams") or {}
    told = ", ".join(
        f"{name} {counts['durable_rows']} rows"
        + (f" ({counts['gap_rows']} lost)" if counts["gap_rows"] else "")
        for name, counts in streams.items()
    )
    trouble = f"; {status['error']}" if status.get("error") else ""
    return f"{shown(status['files'][-1])}: {told or 'nothing yet'}{trouble}"


def _stop(control: ControlClient, recording_id: str, as_json: bool) -> None:
    status = control.call("recordings.stop", {"recording_id": recording_id})
    ended = await_sealed(control, status["part_id"])
    _show({**ended, "recording_id": recording_id, "files": status["files"]}, as_json)


def await_sealed(control: ControlClient, recording_id: str) -> dict[str, Any]:
    """Wait until a file is whole; returns what was told last when it is not in time."""
    deadline = time.monotonic() + SEAL_SECS
    while True:
        status: dict[str, Any] = control.call("recordings.status", {"recording_id": recording_id})
        if status["state"] in ("sealed", "failed") or time.monotonic() > deadline:
            return status
        time.sleep(POLL_SECS)


def _show(status: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        data_json(status)
    else:
        for file in status["files"]:
            data(shown(file))
        say(progress(status))
    if status["state"] != "sealed":
        say(f"error: the file is not whole yet; it is {status['state']}: {status['error']}")
        raise click.exceptions.Exit(FAILED)


def _list(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        data_json(found)
        return
    keys = ["recording_id", "title", "files", "error"]
    data(table(keys, [[one.get(key) for key in keys] for one in found]))


@click.command()
@click.option(
    "--last", type=Duration(), required=True, help="How far back, such as 90, 2m or 1.5h."
)
@streams_option
@title_option
@as_json
def save(last: float, streams: tuple[str, ...], title: str | None, as_json: bool) -> None:
    """Save the last seconds or minutes, after the fact, as far as the rings hold them."""
    control = find_daemon().connect()
    try:
        asked = {"last_secs": last, "streams": list(streams), "title": title or "saved"}
        status = control.call("recordings.save", asked)
        _show(await_sealed(control, status["recording_id"]), as_json)
    finally:
        control.close()
