"""A script's verb: from the script through the daemon to the instrument and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.limits import socket_echo_nanos
from benchmarks.measure import Row, quantile
from ringdaq.testing.daemon import TemporaryDaemon

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


def _run(daemon: TemporaryDaemon) -> tuple[float, float]:
    """Run the script on a daemon; its p50 and p99 in ns."""
    status = daemon.run(SCRIPT, sealed=False)
    if status["state"] != "completed":
        raise RuntimeError(f"the verb script ended {status['state']}: {status['error']}")
    p50, p99 = status["output"].split()[-2:]
    return float(p50), float(p99)


def measure() -> list[Row]:
    """The verb's round trip beside a bare socket's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rig.toml").write_text(RIG)
        with TemporaryDaemon(folder / "rig.toml", folder) as daemon:
            p50, p99 = _run(daemon)
    echo = socket_echo_nanos()
    value, limit = p50 / 1e3, quantile(echo, 0.5) / 1e3
    more = {"p99": p99 / 1e3, "p99 of the limit": quantile(echo, 0.99) / 1e3}
    return [
        Row(
            "verb", "script verb to a simulated instrument and back, p50", value, "us",
            limit, "Unix-socket echo between two Python processes, p50", value / limit, more,
        )
    ]  # fmt: skip
