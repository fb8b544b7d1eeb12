"""Dry runs, as the shell shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.output import data, data_json, say, table
from ringdaq.model import RunState

DRY_RUN_SECS = 120.0
"""Longer than a daemon lets a dry run take."""


def dry_run(rig: Path, script: Path, parameters: dict[str, Any], as_json: bool) -> int:
    """Dry-run a file, here and without a daemon; returns the exit code."""
    from ringdaq.config import load_rig
    from ringdaq.daemon.twin import dry_run_file

    report = dry_run_file(load_rig(rig), script, parameters)
    data_json(report) if as_json else show(report)
    return OK if report["state"] == RunState.COMPLETED else FAILED


def show(report: dict[str, Any]) -> None:
    """Print a report: data to stdout, what to mind to stderr."""
    data(f"{report['state']}: {expectation(report)}")
    rows = [(name, s["rows"], s["bytes"]) for name, s in report["streams"].items()]
    data(table(["stream", "rows", "bytes"], rows))
    say_violations(report)
    for words in report["assumed"]:
        say(f"assumed: {words}")
    told = [one["message"] for one in report["violations"]]
    if report["error"] and report["error"]["message"] not in told:
        say(f"error: {report['error']['message']}")


def expectation(report: dict[str, Any]) -> str:
    """One line: how long, how many points, how many bytes."""
    return (
        f"{spoken_secs(report['duration_secs'])}, {report['points']} points, "
        f"{spoken_bytes(report['bytes'])}"
    )


def say_violations(report: dict[str, Any]) -> None:
    """A line for each limit that the script ran into."""
    for one in report["violations"]:
        say(f"beyond limits, line {one['line']}: {one['message']}")


def spoken_secs(secs: float) -> str:
    """Seconds as people say them."""
    if secs < 120:
        return f"{secs:.3g} s"
    minutes, seconds = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def spoken_bytes(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
