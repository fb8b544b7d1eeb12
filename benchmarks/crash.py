"""A script that is killed in mid-move: how soon the run is closed and the stage at rest."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from ringdaq.control import ControlClient
from ringdaq.testing.daemon import TemporaryDaemon

ROUNDS = 5
PROMISE_SECS = 1.0
RIG = """
[rig]
name = "bench"

[daemon]
gateway = false
recorder = false
data_directory = "data"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
options = { mode = "realistic" }
"""


def _moving(control: ControlClient) -> bool:
    question = {"instrument": "stage", "verb": "position"}
    before: dict[str, Any] = control.call("instruments.call", question)
    return bool(control.call("instruments.call", question) != before)


def _one(control: ControlClient, script: str) -> float:
    run_id = control.call("runs.start", {"script": script})["run_id"]
    while not _moving(control):
        time.sleep(0.005)
    os.kill(control.call("runs.status", {"run_id": run_id})["pid"], signal.SIGKILL)
    killed = time.monotonic()
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    if status["state"] != "crashed":
        raise RuntimeError(f"a killed run should be crashed; found {status['state']}")
    return time.monotonic() - killed


def measure() -> list[Row]:
    """The slowest of several kills beside the promise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rig.toml").write_text(RIG)
        with TemporaryDaemon(folder / "rig.toml", folder) as daemon:
            control = daemon.control()
            source = "stage.move_abs(50)\nstage.move_abs(0)\n"
            script = control.call("scripts.upload", {"content": source, "name": "move.py"})
            slowest = max(_one(control, script["script_id"]) for _ in range(ROUNDS))
    return [
        Row(
            "crash_notice", f"killed script closed and stage at rest, slowest of {ROUNDS}",
            slowest, "s", PROMISE_SECS, "the promise of one second", slowest / PROMISE_SECS,
        )
    ]  # fmt: skip
