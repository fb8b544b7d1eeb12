"""`make bench-scripts`: what scripts, scans and the queue cost, beside limits, goals and peers."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import script_ends, verb
from benchmarks.limits import socket_echo_nanos
from benchmarks.measure import RESULTS, Row, quantile, show
from ringdaq.instruments.sim.power_meter import PowerMeterOptions, SimulatedPowerMeter
from ringdaq.instruments.sim.stage import SimulatedStage, StageOptions
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
from ringdaq.testing.daemon import TemporaryDaemon

PEERS = Path(__file__).parents[1] / ".venv-script-peers" / "bin" / "python"
PEER_SECS = 60.0
POINTS = 1000
ROUNDS = 9
ECHOES, ECHO_SECS, LOOK_SECS = 2000, 0.5, 0.05
"""Between two rounds of a loop, how long the loop waits for them, and how often it is looked at:
each look takes the daemon's time.
"""
RIG = """
[rig]
name = "bench"

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
name = "power_meter"
driver = "simulated.power_meter"
simulated = true
options = { mode = "instant", follows = "stage" }

[scripts]
modules = ["time"]
"""
SCAN = f"""
import time
for i in range({ROUNDS}):
    before = time.perf_counter()
    scan(stage, 0, 10, {POINTS}, detectors=[power_meter])
    print((time.perf_counter() - before) / {POINTS} * 1e6)
"""
LOOP = f"""
import time
for i in range({ROUNDS}):
    before = time.perf_counter()
    for j in range({POINTS}):
        stage.move_abs(j * 0.01)
        power_meter.read()
    print((time.perf_counter() - before) / {POINTS} * 1e6)
    sleep({ECHO_SECS})
"""
FIRST = "import time\nstage.position()\nprint(time.monotonic_ns())\n"
UPLOADED = "# a script of 1 KB\n" + "stage.move_abs(1.5)  # a move\n" * 34


def _figures(daemon: TemporaryDaemon, source: str) -> list[float]:
    """What a script printed; its recording must be whole."""
    return _printed(daemon.run(source, timeout=300))


def _printed(status: dict[str, Any]) -> list[float]:
    gaps = sum(s["gap_rows"] for s in status["recording"]["streams"].values())
    if status["state"] != "completed" or gaps:
        raise RuntimeError(f"{status['state']}, {gaps} rows lost: {status['error']}")
    return [float(line) for line in status["output"].split()]


def _loop_and_echoes(control: Any) -> tuple[list[float], float]:
    """A point of each round of the loop, and the median of echoes between the rounds, in us.

    Side by side, because the machine is not as fast at all times.
    """
    script = control.call("scripts.upload", {"content": LOOP, "name": "loop.py"})["script_id"]
    run = control.call("runs.start", {"script": script})
    echoes: list[int] = []
    rounds = 0
    while (status := control.call("runs.status", run))["state"] == "running":
        if len(status["output"].split()) > rounds:
            rounds += 1
            echoes += socket_echo_nanos(count=ECHOES)
        time.sleep(LOOK_SECS)
    sealed = {**run, "timeout": 60.0, "sealed": True}
    loop = _printed(control.call("runs.wait", sealed, timeout=70.0))
    return loop, statistics.median(echoes) / 1e3


def _bare_point_micros() -> float:
    """The instruments' own calls and two appends, in one process and without a daemon."""
    stage = SimulatedStage("stage", StageOptions(mode="instant"))
    meter = SimulatedPowerMeter("m", PowerMeterOptions(mode="instant"), stage.true_position)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        writers = [
            StreamWriter.create(
                Path(folder),
                StreamSpec(name=name, kind="rows", channels=(Channel("value", "float64"),)),
                capacity_bytes=1 << 20,
            )
            for name in ("stage", "power_meter")
        ]
        spent = []
        for _ in range(ROUNDS):
            before = time.perf_counter()
            for j in range(POINTS):
                stage.move_abs(j * 0.01)
                stage.wait_settled(1.0)
                writers[0].append(time.time_ns(), stage.position())
                writers[1].append(time.time_ns(), meter.read())
            spent.append((time.perf_counter() - before) / POINTS * 1e6)
        for writer in writers:
            writer.close()
    return statistics.median(spent)


def _uploads(control: Any) -> list[float]:
    spent = []
    for number in range(30):
        request = {"content": UPLOADED + f"# {number}\n", "name": "upload.py"}
        before = time.perf_counter()
        control.call("scripts.upload", request)
        spent.append((time.perf_counter() - before) * 1e3)
    return spent


def _starts(control: Any) -> list[float]:
    script = control.call("scripts.upload", {"content": FIRST, "name": "first.py"})["script_id"]
    spent = []
    for _ in range(20):
        before = time.monotonic_ns()
        run_id = control.call("runs.start", {"script": script})["run_id"]
        status = control.call("runs.wait", {"run_id": run_id, "timeout": 30.0}, timeout=40.0)
        spent.append((int(status["output"]) - before) / 1e6)
        time.sleep(0.2)
    return spent


def _turnarounds(control: Any) -> tuple[list[float], list[float]]:
    """Between queued runs, in ms: from end to start, and from end to the first verb's return."""
    content = FIRST + "print(time.monotonic_ns())\n"
    script = control.call("scripts.upload", {"content": content, "name": "queued.py"})
    control.call("queue.add", {"script": script["script_id"], "repeat": 20})
    while (queue := control.call("queue.list"))["entries"]:
        if queue["state"] == "paused":
            raise RuntimeError(f"the queue has paused: {queue['reason']}")
        time.sleep(0.05)
    found = control.call("runs.list", {"script_id": script["script_id"]})
    runs = sorted(found, key=lambda run: run["started_nanos"])
    pairs = list(itertools.pairwise(runs))
    starts = [(b["started_nanos"] - a["ended_nanos"]) / 1e6 for a, b in pairs]
    verbs = [(_prints(b)[0] - _prints(a)[1]) / 1e6 for a, b in pairs]
    return starts, verbs


def _prints(run: dict[str, Any]) -> list[int]:
    return [int(line) for line in run["output"].split()]


def _of(id: str, what: str, values: list[float], unit: str, limit: float, limit_is: str) -> Row:
    middle = statistics.median(values)
    more = {"p99": quantile(values, 0.99), "least": min(values)}
    return Row(id, what, middle, unit, limit, limit_is, middle / limit, more)


def measure() -> list[Row]:
    """All rows, in one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rig.toml").write_text(RIG)
        with TemporaryDaemon(folder / "rig.toml", folder) as daemon:
            control = daemon.control()
            scan, bare = _figures(daemon, SCAN), _bare_point_micros()
            loop, echo = _loop_and_echoes(control)
            uploads, starts = _uploads(control), _starts(control)
            turnarounds, first_verbs = _turnarounds(control)
            ends = script_ends.measure(daemon)
    turnaround = _of("turnaround", "end of a queued run to the next one's start", turnarounds,
                     "ms", 20.0, "the goal")  # fmt: skip
    turnaround.more["to the next one's first verb"] = statistics.median(first_verbs)
    point = _of("scan_point", f"a point of a scan of {POINTS}, motor and detector, recorded",
                scan, "us", 20.0, "the goal")  # fmt: skip
    point.more["the instruments' calls and two appends"] = bare
    return [
        *verb.measure(),
        point,
        _of("loop_point", "the same as a loop in the script", loop, "us", 2 * echo,
            "two Unix-socket echoes"),
        _of("upload", "upload and check of a script of 1 KB", uploads, "ms", 20.0, "the goal"),
        _of("start", "start to the return of the first verb", starts, "ms", 50.0, "the goal"),
        turnaround,
        *ends,
    ]  # fmt: skip


def peers() -> dict[str, dict[str, float]]:
    """The peers' figures in us by row; those that are not installed or fail are named on stderr."""
    found: dict[str, dict[str, float]] = {}
    for peer in ("bluesky", "qcodes", "rpyc", "Pyro5"):
        for row, figures in _peer(peer).items():
            found.setdefault(row, {}).update(figures)
    return found


def _peer(name: str) -> dict[str, dict[str, float]]:
    script = Path(__file__).with_name("script_peers.py")
    try:
        done = subprocess.run(
            [PEERS, script, name], capture_output=True, text=True, check=True, timeout=PEER_SECS
        )
    except (OSError, subprocess.SubprocessError) as error:
        words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        print(f"{name} was not measured: {words}", file=sys.stderr)
        return {}
    figures: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure, print the table, and write `results/scripts.json`."""
    rows, others = measure(), peers()
    for row in rows:
        row.more |= others.get(row.id, {})
    show(rows)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "scripts.json"
    plain = [asdict(row) | {"peers": others.get(row.id, {})} for row in rows]
    path.write_text(json.dumps(plain, indent=1))
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
