"""Instruments as a daemon holds them, without the daemon."""

from __future__ import annotations

import threading
import time

from ringdaq.config import parse_rig
from ringdaq.daemon.emitted import EmittedStream
from ringdaq.daemon.instruments import InstrumentHost, scalar_streams
from ringdaq.daemon.plans import Execution, shape
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.workers import Worker
from ringdaq.instruments import build_instruments
from ringdaq.scripts import PlanControl
from ringdaq.scripts.hold import Hold

RIG = """
[rig]
name = "lab"

[daemon]
gateway = false
recorder = false

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 100.0] }
options = { mode = "instant" }

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


class SilentAudit:
    """Writes nothing down."""

    def note(self, *_, **__):
        pass

    def refused(self, *_):
        return []


class Lab:
    """`hosts` and `drivers` by name, and scans on them."""

    def __init__(self, folder):
        self.rig = parse_rig(RIG, folder / "rig.toml")
        self.publisher = Publisher(self.rig, folder / "rings")
        entries = build_instruments(self.rig).entries.values()
        self.audit = SilentAudit()
        self.hosts = {
            e.name: InstrumentHost(e, Worker(f"link-{e.name}"), self.publisher, self.audit)
            for e in entries
        }
        self.drivers = {e.name: e.instrument for e in entries}
        for entry in entries:
            for spec in scalar_streams(entry):
                self.publisher.open(spec, 1 << 16)
        self._emitted = EmittedStream("x", self.publisher, lambda _: None)

    def scan(self, name, *args, **kwargs):
        """Carry a scan out; raises what it raises."""
        control = PlanControl(
            hold=Hold(), must_end=lambda: False, raise_progress=lambda _: None,
            wait=time.sleep, region=(0.0, 1.0), closing=False,
        )  # fmt: skip
        plan = shape(name, args, kwargs, self.hosts)
        return Execution(
            plan,
            begun=time.monotonic(),
            control=control,
            publisher=self.publisher,
            emitted=self._emitted,
        ).run()

    def close(self):
        for host in self.hosts.values():
            host.close()
        self.publisher.close()


def join_plans():
    """Wait until no thread carries out a plan any more."""
    for thread in threading.enumerate():
        if thread.name == "plan":
            thread.join(30)
            assert not thread.is_alive()
