"""`ringdaq pipeline run`: a pipeline file, with a daemon for just that long."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ringdaq.cli.exit_codes import FAILED, OK, USAGE
from ringdaq.cli.follow import Interrupts
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, shown
from ringdaq.cli.pipeline import FILE, load_text, preset_option
from ringdaq.cli.pipeline_ask import parse_values, values_option
from ringdaq.cli.pipeline_figures import progress, show
from ringdaq.cli.private import PrivateDaemon
from ringdaq.cli.record import await_sealed
from ringdaq.errors import PipelineError

if TYPE_CHECKING:
    from ringdaq.config import PipelineConfig
    from ringdaq.control import ControlClient

READY_SECS = 120.0
POLL_SECS = 0.05
SHOW_SECS = 1.0
OVER = ("ended", "failed", "stopped")
RIG = """[rig]
name = "{name}"

[daemon]
gateway = false
recorder = {recorder}
"""


@click.command()
@click.argument("file", type=FILE)
@click.option("--seconds", type=click.FloatRange(min=0.0), help="End after this long.")
@click.option("--data", "directory", metavar="DIR", help="Record its streams to a file there.")
@click.option(
    "--rig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A rig file with the instruments whose streams it reads.",
)
@preset_option
@values_option
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    file: Path,
    seconds: float | None,
    directory: str | None,
    rig: Path | None,
    preset: str | None,
    values: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a pipeline FILE until its sources end, a time is over, or Ctrl-C.

    A private daemon is started for just that long.
    What is on its way at the end is finished; then follow the counters, and the file with --data.
    The exit code is 1 if anything was lost or has failed.
    """
    config = load_text(file, None, preset)
    wish = {
        "text": config.text,
        "path": str(config.path),
        "preset": config.preset,
        "parameters": parse_values(values),
        "hold": True,
    }
    private = PrivateDaemon(rig, options=_options(directory))
    if rig is None:
        recorder = "true" if directory else "false"
        private.rig.write_text(RIG.format(name=config.name, recorder=recorder))
    with private as daemon:
        control = daemon.connect()
        try:
            found = _Session(control, config, quiet=as_json).run(wish, seconds, bool(directory))
        finally:
            control.close()
    if "branches" not in found:
        _give_up(found)
    _show(found, as_json)
    ctx.exit(OK if _is_whole(found) else FAILED)


def _options(directory: str | None) -> tuple[str, ...]:
    return ("--no-gateway", *(("--data", directory) if directory else ()))


class _Session:
    """One run of a pipeline in a private daemon."""

    def __init__(self, control: ControlClient, config: PipelineConfig, *, quiet: bool) -> None:
        self._control, self._config, self._quiet = control, config, quiet

    def run(self, wish: dict[str, Any], seconds: float | None, record: bool) -> dict[str, Any]:
        self._control.call("pipeline.start", wish)
        ready = self._await_ready()
        recording = self._record(ready["streams"]) if record and ready["streams"] else None
        self._ask("resume")
        figures = self._follow(seconds)
        if recording is not None:
            stopped = self._control.call("recordings.stop", {"recording_id": recording})
            figures["recording"] = {
                **await_sealed(self._control, stopped["part_id"]),
                "file": stopped["files"][-1],
            }
        return figures

    def _ask(self, verb: str, timeout: float = 30.0) -> dict[str, Any]:
        answer: dict[str, Any] = self._control.call(
            f"pipeline.{verb}", {"name": self._config.name}, timeout=timeout
        )
        return answer

    def _state(self) -> dict[str, Any]:
        listed: list[dict[str, Any]] = self._control.call("pipeline.list")
        return next(one for one in listed if one["name"] == self._config.name)

    def _await_ready(self) -> dict[str, Any]:
        deadline, told = time.monotonic() + READY_SECS, ""
        while (found := self._state())["state"] != "ready":
            if found["state"] in OVER or time.monotonic() > deadline or found["restarts"]:
                _give_up(found)
            if found["state"] == "waiting" and found["error"] != told:
                told = found["error"]
                say(f"waiting: {told}")
            time.sleep(POLL_SECS)
        return found

    def _record(self, streams: list[str]) -> str:
        wish = {"streams": streams, "title": self._config.name}
        recording_id: str = self._control.call("recordings.start", wish)["recording_id"]
        return recording_id

    def _follow(self, seconds: float | None) -> dict[str, Any]:
        """Until the end, whatever brings it; the figures of the end."""
        begun = shown_at = time.monotonic()
        with Interrupts() as interrupts:
            while (found := self._state())["state"] not in OVER:
                if found["restarts"] or found["state"] == "restarting":
                    died = {"error": found["error"] or "its process has died"}
                    return self._ask("stop") | self._ask("stats") | died
                now = time.monotonic()
                if interrupts.count or (seconds is not None and now - begun >= seconds):
                    return self._ask("drain", timeout=90.0)
                if now - shown_at >= SHOW_SECS and not self._quiet:
                    shown_at = now
                    self._tell_progress()
                time.sleep(POLL_SECS)
        return found | self._ask("stats")

    def _tell_progress(self) -> None:
        with contextlib.suppress(PipelineError):  # it has just died, which the next look tells
            say(progress(self._ask("stats")))


def _give_up(found: dict[str, Any]) -> NoReturn:
    say(f"error: {found['error'] or 'the pipeline did not get ready; it is ' + found['state']}")
    raise click.exceptions.Exit(USAGE if found["state"] == "failed" else FAILED)


def _is_whole(found: dict[str, Any]) -> bool:
    """Whether nothing was lost, nothing failed, and the file is whole."""
    recording = found.get("recording") or {"state": "sealed", "streams": {}}
    gaps = sum(one["gap_rows"] for one in recording["streams"].values())
    failed = found["state"] == "failed" or bool(found["error"])
    lost = found["lost"] or found["lost_samples"] or gaps
    return not (lost or failed or recording["state"] != "sealed")


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        data_json(found)
        return
    show(found)
    if found["error"]:
        say(f"error: {found['error']}")
    if recording := found.get("recording"):
        for name, counts in recording["streams"].items():
            say(f"{name}: {counts['durable_rows']} rows, {counts['gap_rows']} lost")
        data(shown(recording["file"]))
    say(progress(found))
