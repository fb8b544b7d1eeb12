"""The processes around the demo's daemon: a serial instrument, a client to kill, a reader."""

from __future__ import annotations

import json
import os
import select
import subprocess
from contextlib import suppress
from pathlib import Path

from ringdaq.cli.children import PYTHON, RINGDAQ, Children
from ringdaq.cli.demo_rig import MIB, RINGS_BYTES
from ringdaq.cli.output import say
from ringdaq.errors import ServiceError

SHARED_MEMORY = Path("/dev/shm")
START_SECS = 20.0
READ_SECS = 20.0
LIVE_ROWS = 20


def choose_ring_directory(state: Path, shared_memory: Path = SHARED_MEMORY) -> Path:
    """A directory for the rings: in shared memory, or where there is room, which is then said."""
    trouble = _trouble_with(shared_memory)
    if trouble is None:
        say(f"rings: {shared_memory} ({RINGS_BYTES // MIB} MiB at most)")
        return shared_memory
    say(f"rings: {shared_memory} {trouble}; they lie in {state} instead")
    return state


def _trouble_with(directory: Path) -> str | None:
    if not os.access(directory, os.W_OK):
        return "is missing or not writable"
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < RINGS_BYTES:
        return f"has {free // MIB} MiB free and the rings need {RINGS_BYTES // MIB}"
    return None


def start_esp300(children: Children) -> str:
    """Start the controller at the other end of a serial line; returns the line's path."""
    command = [*PYTHON, "-m", "ringdaq.testing.esp300"]
    process = children.start(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECS)
    path = process.stdout.readline().decode().strip() if ready else ""
    if not path:
        raise ServiceError(f"the ESP300 simulator should name its line within {START_SECS:g} s")
    say(f"axis: ESP300 simulator, pid {process.pid}, on {path}")
    return path


class Watcher:
    """A client that watches the run, and is killed for it."""

    def __init__(self, children: Children, state: Path, run_id: str) -> None:
        self._seen = state / "watched.jsonl"
        with self._seen.open("wb") as seen:
            self._process = children.start(
                [*RINGDAQ, "client", "watch", run_id, "--json"],
                environment={"RINGDAQ_STATE": str(state)},
                stdout=seen,
            )
        self._alive = True

    def kill(self) -> None:
        """Kill it as a crash would, once; say how far it had come."""
        if not self._alive:
            return
        self._alive = False
        self._process.kill()
        self._process.wait()
        updates = self._seen.read_bytes().count(b"\n")
        say(
            f"killed the watching client (pid {self._process.pid}) after {updates} updates; "
            "the run goes on"
        )


class Reader:
    """A process that reads a ring while it is written."""

    def __init__(self, children: Children, state: Path, stream: str) -> None:
        self._stream = stream
        self._rows = state / "read.jsonl"
        with self._rows.open("wb") as rows:
            self._process = children.start(
                [*RINGDAQ, "tail", stream, "--rows", str(LIVE_ROWS), "--json"],
                environment={"RINGDAQ_STATE": str(state)},
                stdout=rows,
            )

    def report(self) -> None:
        """Say what it read; raises `ServiceError` if it did not read what it should."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(READ_SECS)
        rows = [json.loads(line) for line in self._rows.read_text().splitlines()]
        if len(rows) < LIVE_ROWS:
            raise ServiceError(
                f"another process should read {LIVE_ROWS} live rows of {self._stream!r}; "
                f"it read {len(rows)}"
            )
        say(
            f"another process (pid {self._process.pid}) read {len(rows)} live rows of "
            f"{self._stream}; the last: {rows[-1]}"
        )
