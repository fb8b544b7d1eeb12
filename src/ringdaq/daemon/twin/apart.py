"""Dry runs beside a daemon: in a process apart, so that what is measured does not feel them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import msgpack

from ringdaq.config import Rig
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.twin.dry_run import REAL_SECS, Report
from ringdaq.errors import BusyError, ScriptError, from_wire

AT_ONCE = 2
GRACE_SECS = 30.0


class DryRuns:
    """Makes dry runs of a daemon's rig; any thread may call."""

    def __init__(self, rig: Rig, hosts: Mapping[str, InstrumentHost], publisher: Publisher) -> None:
        self._rig, self._hosts, self._publisher = rig, hosts, publisher
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def run(
        self,
        stored: Mapping[str, Any],
        parameters: Mapping[str, Any],
        instruments: list[str] | None,
    ) -> Report:
        """The report; raises what keeps a run of the script from starting."""
        if not self._room.acquire(blocking=False):
            raise BusyError(f"{AT_ONCE} dry runs go on already; wait for one to end")
        try:
            return self._ask(
                {
                    "rig": self._rig.text,
                    "path": str(self._rig.path),
                    "known": self._known(),
                    "script": dict(stored),
                    "parameters": dict(parameters),
                    "instruments": instruments,
                }
            )
        finally:
            self._room.release()

    def _known(self) -> dict[str, dict[str, Any]]:
        """Units and streams of what is connected; nobody is asked for them."""
        specs = [ring.spec for ring in self._publisher.open_rings()]
        return {
            name: {
                "unit": host.entry.unit,
                "specs": [
                    spec.to_dict()
                    for spec in specs
                    if spec.instrument == name and spec.kind == "samples"
                ],
            }
            for name, host in self._hosts.items()
        }

    def _ask(self, request: dict[str, Any]) -> Report:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "ringdaq.daemon.twin"],
                input=msgpack.packb(request),
                stdout=subprocess.PIPE,
                timeout=REAL_SECS + GRACE_SECS,
                check=True,
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            raise ScriptError(
                f"a dry run should come to an end, and its process did not: {error}; "
                "the daemon's log has its last words"
            ) from error
        reply = msgpack.unpackb(done.stdout, strict_map_key=False)
        if reply["error"] is not None:
            raise from_wire(reply["error"])
        report: Report = reply["report"]
        return report
