"""A run manager on a rig of two simulated stages, in this process; its scripts have their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringdaq.config import Rig, parse_rig
from ringdaq.daemon.instruments import InstrumentHost, scalar_streams
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.daemon.run_manager import RunManager
from ringdaq.daemon.store import Store
from ringdaq.daemon.workers import Worker
from ringdaq.instruments import build_instruments
from ringdaq.scripts.spawn import spawn

RIG = """
[rig]
name = "stand"

[daemon]
recorder = false

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
options = { mode = "instant" }

[[instrument]]
name = "other"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
options = { mode = "instant" }
"""
FOREVER = "stage.position()\nwhile True:\n    sleep(0.01)\n"


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition; a test that waits in vain fails here."""
    deadline = time.monotonic() + 30.0
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return found


class NotedAudit:
    """What was noted, as (action, target)."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def note(self, _who: str, action: str, target: str, **_: Any) -> None:
        self.noted.append((action, target))

    def refused(self, _since_nanos: int) -> list[Any]:
        return []


class RunStand:
    """What a run manager needs; `close` ends its runs."""

    def __init__(self, directory: Path, rings: Path, rig: str = RIG) -> None:
        self.rig: Rig = parse_rig(rig, directory / "rig.toml")
        self.store = Store(directory / "db")
        self.audit: Any = NotedAudit()
        self.publisher = Publisher(self.rig, rings)
        self.desk: Any = RecordingDesk(self.rig, directory / "data", lambda _: None)
        entries = build_instruments(self.rig).entries
        self._links = {name: Worker(f"link-{name}") for name in entries}
        self.drivers: dict[str, Any] = {name: e.instrument for name, e in entries.items()}
        self.hosts = {
            name: InstrumentHost(entry, self._links[name], self.publisher, self.audit)
            for name, entry in entries.items()
        }
        for host in self.hosts.values():
            self.publisher.open(*scalar_streams(host.entry), 1 << 16)
        self.runs = RunManager(
            self.rig, self.hosts, self.publisher, self.desk, self.store, self.audit, spawn
        )

    def upload(self, source: str) -> str:
        script_id: str = self.runs.upload(source, "stand.py", {}, "ada")["script_id"]
        return script_id

    def start(self, source: str, parameters: dict[str, Any] | None = None) -> str:
        return self.runs.start(self.upload(source), parameters or {}, None, "ada")

    def end_of(self, run_id: str) -> dict[str, Any]:
        return self.runs.wait(run_id, 30.0, sealed=False)

    def close(self) -> None:
        self.runs.close(10.0)
        for host in self.hosts.values():
            host.close()
        for link in self._links.values():
            link.close()
        self.publisher.close()
        self.store.close()
