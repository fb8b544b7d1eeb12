"""How quickly a daemon answers another client while scripts misbehave; writes `beside.json`."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.measure import RESULTS, Row, machine, quantile
from ringdaq.control import ControlClient
from ringdaq.testing.daemon import TemporaryDaemon

PROMISE_SECS = 0.010
ASK_SECS = 0.002
RUN_SECS = 2.0
RIG = """
[rig]
name = "beside"

[daemon]
gateway = false
data_directory = "data"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
options = { mode = "instant" }

[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
options = { channels = 32, rate_hz = 1000 }

[scripts]
wall_secs = 2.0
"""
BAD = {
    "verbs": "while True: stage.position()",
    "rows": "while True: emit(x=1.0)",
    "scans": "while True: scan(stage, 0, 50, 1000)",
    "output": "while True: print('#' * 10**5, end='')",
    "memory": "x = []\nwhile True: x.append(bytes(1 << 20))",
    "computing": "x = 7 ** 10 ** 9",
    "idle": "sleep(1)",
}


def _ask(socket: str, done: threading.Event, secs: list[float]) -> None:
    control = ControlClient.connect(socket)
    while not done.wait(ASK_SECS):
        began = time.perf_counter()
        control.call("system.status")
        secs.append(time.perf_counter() - began)
    control.close()


def _beside(daemon: TemporaryDaemon, source: str) -> list[float]:
    """How long each question took while the script ran, over and over."""
    done, secs = threading.Event(), list[float]()
    asker = threading.Thread(target=_ask, args=(daemon.card["control_socket"], done, secs))
    asker.start()
    until = time.monotonic() + RUN_SECS
    while time.monotonic() < until:
        daemon.run(source, sealed=False)
    done.set()
    asker.join()
    return secs


def measure() -> list[Row]:
    """The 99th percentile of a status call beside each kind of harm."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rig.toml").write_text(RIG)
        with TemporaryDaemon(folder / "rig.toml", folder) as daemon:
            found = {what: _beside(daemon, source) for what, source in BAD.items()}
    return [
        Row(
            f"beside_{what}", f"status call beside a script of {what}, p99",
            quantile(secs, 0.99), "s", PROMISE_SECS, "the promise of 10 ms",
            quantile(secs, 0.99) / PROMISE_SECS, {"p50": quantile(secs, 0.5)},
        )
        for what, secs in found.items()
    ]  # fmt: skip


def main() -> None:
    """Measure, print, keep."""
    rows = measure()
    for row in rows:
        print(f"{row.id:18} p50 {row.more['p50'] * 1e3:6.2f} ms   p99 {row.value * 1e3:6.2f} ms")
    RESULTS.mkdir(exist_ok=True)
    kept = {"machine": machine(), "rows": [vars(row) for row in rows]}
    (RESULTS / "beside.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
