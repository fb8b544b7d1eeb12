"""`ringdaq demo`: everything once, from instruments to a file, with a kill in the middle."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ringdaq.cli.children import Children
from ringdaq.cli.demo_parts import Reader, Watcher, choose_ring_directory, start_esp300
from ringdaq.cli.demo_rig import POINTS, SCRIPT, rig_text
from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.follow import ending, wait_for_file
from ringdaq.cli.local import LocalDaemon
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, plain, say, table
from ringdaq.cli.private import PrivateDaemon
from ringdaq.cli.progress import describe, open_display
from ringdaq.errors import ServiceError
from ringdaq.model import RunState

LIMIT_SECS = 90.0
"""A demo that takes longer than this is stuck, and is ended."""


@click.command()
@click.option(
    "--recording",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.edf",
    help="An EDF or BDF recording to replay as the EEG; default: a simulated EEG.",
)
@click.option(
    "--data",
    "data_directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the file goes; default: the user's data directory.",
)
@as_json
@click.pass_context
def demo(
    ctx: click.Context, recording: Path | None, data_directory: Path | None, as_json: bool
) -> None:
    """Run a whole small laboratory once, and show the file it leaves.

    A private daemon owns a stage, a camera, a power meter, an ESP300 axis on a serial line and an
    EEG; a script scans; its client is killed halfway; another process reads live rows.
    """
    with _ended_by_signals():
        result = _perform(_absolute(recording), _absolute(data_directory))
    if as_json:
        data_json(result)
    else:
        _print(result)
    whole = result["lost_records"] == 0 and result["gaps"] == 0
    ctx.exit(OK if result["state"] == RunState.COMPLETED and whole else FAILED)


def _absolute(path: Path | None) -> Path | None:
    """The path from where the user stands; in a rig file it would begin at that file."""
    return None if path is None else path.absolute()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that nothing it started stays."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _perform(recording: Path | None, data_directory: Path | None) -> dict[str, Any]:
    """Run the demo; returns what it prints."""
    started = time.monotonic()
    with ExitStack() as stack:
        children = stack.enter_context(Children())
        port = start_esp300(children)
        private = stack.enter_context(closing(PrivateDaemon()))
        text = rig_text(
            ring_directory=choose_ring_directory(private.state),
            data_directory=data_directory,
            esp300_port=port,
            recording=recording,
        )
        private.rig.write_text(text)
        say(f"EEG: {'replay of ' + str(recording) if recording else NO_RECORDING}")
        daemon = stack.enter_context(private)
        say(f"daemon: pid {daemon.pid}, gRPC on {daemon.grpc_address}")
        status = _scan(daemon, children, private.state)
    return _result(status, time.monotonic() - started)


NO_RECORDING = "simulated (no recording was given, and no dependency ships one)"


def _scan(daemon: LocalDaemon, children: Children, state: Path) -> dict[str, Any]:
    """Upload the script, start it, and follow it to the sealed file."""
    from ringdaq.client import connect

    token = daemon.token_file.read_text().strip()
    with connect(daemon.grpc_address, token=token) as client:
        script = client.upload(SCRIPT, name="demo_scan.py")
        run_id = client.start(script.script_id, parameters={"points": POINTS})
        watcher, reader = Watcher(children, state, run_id), Reader(children, state, "power_meter")
        _follow(client, run_id, watcher)
        reader.report()
    control = daemon.connect()
    try:
        status: dict[str, Any] = control.call("runs.status", {"run_id": run_id})
        status = wait_for_file(control, status)
    finally:
        control.close()
    say(ending(status))
    for line in status["output"].splitlines():
        say(f"script: {line}")
    return status


def _follow(client: Any, run_id: str, watcher: Watcher) -> None:
    """Show the run until it ends; kill the watching client halfway."""
    display = open_display()
    deadline = time.monotonic() + LIMIT_SECS
    try:
        for update in client.watch(run_id):
            status = plain(update)
            display.show(status["progress_percent"], describe(status))
            if (status["progress_percent"] or 0.0) >= 50.0:
                watcher.kill()
            if time.monotonic() > deadline:
                client.stop(run_id, force=True)
                raise ServiceError(f"the demo's run should end within {LIMIT_SECS:g} s")
    finally:
        display.close()


def _result(status: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the demo found in the end, counted in the file itself."""
    from ringdaq.recorder import describe_file

    recording = status["recording"]
    found = describe_file(recording["file"])
    counts = recording["streams"].values()
    return {
        "run_id": status["run_id"],
        "state": status["state"],
        "file": recording["file"],
        "streams": {name: one["rows"] for name, one in sorted(found["streams"].items())},
        "lost_records": sum(one["gap_records"] for one in counts),
        "gaps": sum(one["gaps"] for one in counts),
        "seconds": round(seconds, 2),
    }


def _print(result: dict[str, Any]) -> None:
    data(table(["stream", "rows"], result["streams"].items()))
    data(f"lost records: {result['lost_records']}")
    data(f"gaps: {result['gaps']}")
    data(f"file: {result['file']}")
    say(f'open it: {sys.executable} -c "import h5py; print(list(h5py.File({result["file"]!r})))"')
