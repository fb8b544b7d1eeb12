"""Scans on a run stand's instruments, without a script."""

from __future__ import annotations

import threading
import time
from typing import Any

from run_stand import RIG, RunStand

from ringdaq.daemon.emitted import EmittedStream
from ringdaq.daemon.plans import Execution, shape
from ringdaq.scripts import PlanControl
from ringdaq.scripts.hold import Hold

LAB = (
    RIG.replace("50.0", "100.0")
    + """
[[instrument]]
name = "train"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 100.0] }
options = { velocity = 1.0 }

[[instrument]]
name = "meter"
driver = "simulated.power_meter"
simulated = true
deadline_secs = 0.2
options = { mode = "instant" }
"""
)


def scan(stand: RunStand, name: str, *args: Any, **kwargs: Any) -> Any:
    """Carry a scan out; raises what it raises."""
    control = PlanControl(
        hold=Hold(), must_end=lambda: False, raise_progress=lambda _: None,
        wait=time.sleep, region=(0.0, 1.0), closing=False,
    )  # fmt: skip
    return Execution(
        shape(name, args, kwargs, stand.hosts),
        begun=time.monotonic(),
        control=control,
        publisher=stand.publisher,
        emitted=EmittedStream("x", stand.publisher, lambda _: None),
    ).run()


def join_plans() -> None:
    """Wait until no thread carries out a plan any more."""
    for thread in threading.enumerate():
        if thread.name == "plan":
            thread.join(30)
            assert not thread.is_alive()
