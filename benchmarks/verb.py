"""A script's verb: from the script through the daemon to the instrument and back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.limits import socket_echo_nanos
from benchmarks.measure import Row, quantile
from ringdaq.control import ControlClient

CALLS = 5000
RIG = """
[rig]
name = "bench"

[daemon]
gateway = false
recorder = false
data_directory = "data"

[[instrument]]
name = "power_meter"
driver = "simulated.power_meter"
simulated = true
options = { mode = "instant" }

[scripts]
modules = ["time"]
"""
SCRIPT = f"""
import time
times = []
for i in range({CALLS}):
    before = time.perf_counter_ns()
    power_meter.read()
    times.append(time.perf_counter_ns() - before)
times = sorted(times[{CALLS // 10}:])
emit(p50=times[len(times) // 2], p99=times[len(times) * 99 // 100])
print(times[len(times) // 2], times[len(times) * 99 // 100])
"""


def _run(state: Path) -> tuple[float, float]:
    """Run the script on the daemon of a state directory; its p50 and p99 in ns."""
    card = json.loads((state / "daemon.json").read_text())
    client = ControlClient.connect(card["control_socket"])
    client.call("scripts.upload", {"content": SCRIPT, "name": "verbs"})
    run_id = client.call("runs.start", {"script": "verbs"})["run_id"]
    status = client.call("runs.wait", {"run_id": run_id, "timeout": 60}, timeout=70)
    client.call("shutdown")
    client.close()
    if status["state"] != "completed":
        raise RuntimeError(f"the verb script ended {status['state']}: {status['error']}")
    p50, p99 = status["output"].split()[-2:]
    return float(p50), float(p99)


def measure() -> list[Row]:
    """The verb's round trip beside a bare socket's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rig.toml").write_text(RIG)
        state = folder / "state"
        daemon = subprocess.Popen(
            [
                *(sys.executable, "-m", "ringdaq.daemon"),
                *("--rig", str(folder / "rig.toml"), "--state", str(state)),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert daemon.stderr is not None
        try:
            for line in daemon.stderr:
                if line.startswith("ready"):
                    break
            p50, p99 = _run(state)
        finally:
            daemon.terminate()
            daemon.wait(30)
    echo = socket_echo_nanos()
    value, limit = p50 / 1e3, quantile(echo, 0.5) / 1e3
    more = {"p99": p99 / 1e3, "p99 of the limit": quantile(echo, 0.99) / 1e3}
    return [
        Row(
            "verb", "script verb to a simulated instrument and back, p50", value, "us",
            limit, "Unix-socket echo between two Python processes, p50", value / limit, more,
        )
    ]  # fmt: skip
