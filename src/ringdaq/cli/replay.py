"""`ringdaq replay`: a recording as live streams, served by a daemon of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from ringdaq.cli.output import data, say
from ringdaq.cli.private import PrivateDaemon

RIG = """[rig]
name = "replay"

[daemon]
recorder = false
grpc_port = 0

[[instrument]]
name = "replay"
driver = "replay.recording"
simulated = {simulated}
[instrument.options]
file = {file}
speed = {speed!r}
loop = {loop}
streams = {streams}
"""
# The last rows stay readable so long after they were played.
LAST_SECS = 2.0
POLL_SECS = 0.2


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--speed", type=click.FloatRange(min=0.001, max=1000), default=1.0,
              show_default=True, help="How many times faster than it was recorded.")  # fmt: skip
@click.option("--loop", is_flag=True, help="Begin again at the end, until Ctrl-C.")
@click.option("--stream", "streams", multiple=True, help="Only this stream; several may be given.")
def replay(file: Path, speed: float, loop: bool, streams: tuple[str, ...]) -> None:
    """Play a recording's streams as if they were measured now; values are equal, times are now.

    A private daemon serves them until the recording ends, or until Ctrl-C.
    It prints its state directory: use it as 'ringdaq --state DIR tail STREAM'.
    In a daemon of your own, the driver replay.recording does the same.
    """
    seconds, simulated = _facts(file, streams)
    private = PrivateDaemon()
    private.rig.write_text(
        RIG.format(
            simulated=str(simulated).lower(),
            file=json.dumps(str(file.resolve())),
            speed=speed,
            loop=str(loop).lower(),
            streams=json.dumps(list(streams)),
        )
    )
    with private:
        data(str(private.state))
        say(f"playing {seconds / speed:.1f} s; Ctrl-C ends it")
        until = None if loop else time.monotonic() + seconds / speed + LAST_SECS
        while until is None or time.monotonic() < until:
            time.sleep(POLL_SECS)


def _facts(file: Path, streams: tuple[str, ...]) -> tuple[float, bool]:
    """How long the recording is, in seconds, and whether any of it was made up."""
    from ringdaq.recorder.readback import RecordedFile

    with RecordedFile(file) as found:
        played = [
            s for s in found.streams.values() if s.rows and (s.spec.name in streams or not streams)
        ]
        ends = [(int(s.times(0, 1)[0]), int(s.times(s.rows - 1)[0])) for s in played]
        simulated = any(s.spec.simulated for s in played)
    if not ends:
        return 0.0, simulated
    return (max(last for _, last in ends) - min(first for first, _ in ends)) / 1e9, simulated
