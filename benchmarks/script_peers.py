"""The same work in other programs, where they are installed; prints one JSON object.

Runs in an environment of its own and imports nothing of ringdaq. Figures in µs, medians.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS, POINTS = 2000, 300
Figures = dict[str, dict[str, float]]


def micros(work: Callable[[], Any], times: int, share: int = 1) -> float:
    """The median time of `work`, divided by `share`."""
    spent = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        spent.append((time.perf_counter() - before) / share)
    return statistics.median(spent) * 1e6


def bluesky() -> Figures:
    """An engine without subscribers, on simulated devices that take no time."""
    from bluesky import RunEngine
    from bluesky.plan_stubs import abs_set
    from bluesky.plans import scan
    from ophyd.sim import det, motor

    engine = RunEngine({})
    engine(scan([det], motor, 0, 1, 10))
    begun = time.perf_counter()
    engine(scan([det], motor, 0, 1, POINTS))
    point = (time.perf_counter() - begun) / POINTS * 1e6

    def moves() -> Any:
        for i in range(100):
            yield from abs_set(motor, i * 0.01, wait=True)

    return {"verb": {"bluesky abs_set": micros(lambda: engine(moves()), 5, 100)},
            "scan_point": {"bluesky scan": point}}  # fmt: skip


def qcodes() -> Figures:
    """A measurement into SQLite, point by point."""
    import qcodes as qc
    from qcodes.dataset import (
        LinSweep,
        dond,
        initialise_or_create_database_at,
        load_or_create_experiment,
    )

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        initialise_or_create_database_at(str(Path(folder) / "x.db"))
        load_or_create_experiment("bench", "none")
        x = qc.parameters.ManualParameter("x", initial_value=0.0)
        y = qc.parameters.Parameter("y", get_cmd=lambda: x.get() * 2)
        dond(LinSweep(x, 0, 1, 10), y, show_progress=False)
        begun = time.perf_counter()
        dond(LinSweep(x, 0, 1, 2000), y, show_progress=False)
        return {"scan_point": {"qcodes dond": (time.perf_counter() - begun) / 2000 * 1e6}}


class Meter:
    def read(self) -> float:
        return 1.0


def _serve_rpyc(path: str) -> None:
    import rpyc
    from rpyc.utils.server import OneShotServer

    class Service(rpyc.Service):
        exposed_read = Meter.read

    OneShotServer(Service, socket_path=path).start()


def rpyc_calls() -> Figures:
    """A call over a Unix socket."""
    import rpyc

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        server = multiprocessing.Process(target=_serve_rpyc, args=(path,), daemon=True)
        server.start()
        while not Path(path).exists():
            time.sleep(0.01)
        connection = rpyc.utils.factory.unix_connect(path)
        value = micros(connection.root.read, CALLS)
        connection.close()
        server.join(5)
    return {"verb": {"rpyc": value}}


def _serve_pyro(pipe: Any) -> None:
    import Pyro5.api

    daemon = Pyro5.api.Daemon()
    pipe.send(str(daemon.register(Pyro5.api.expose(Meter))))
    daemon.requestLoop()


def pyro5() -> Figures:
    """A call over TCP."""
    import Pyro5.api

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve_pyro, args=(theirs,), daemon=True)
    server.start()
    with Pyro5.api.Proxy(ours.recv()) as proxy:
        value = micros(proxy.read, CALLS)
    server.terminate()
    return {"verb": {"Pyro5": value}}


PEERS = {"bluesky": bluesky, "qcodes": qcodes, "rpyc": rpyc_calls, "Pyro5": pyro5}


def main() -> None:
    """Measure the one peer that is named."""
    print(json.dumps(PEERS[sys.argv[1]]()))


if __name__ == "__main__":
    main()
