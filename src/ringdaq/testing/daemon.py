"""A real daemon process on a directory of its own, for tests of drivers, scripts and clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ringdaq.control import ControlClient
from ringdaq.errors import ServiceError

START_SECS = 60.0
STOP_SECS = 60.0


class TemporaryDaemon:
    """Starts a daemon for a rig file, and ends it with the `with` block.

    The rig file should say `grpc_port = 0` (or `gateway = false`), so that a free port is taken.
    """

    def __init__(self, rig: Path, directory: Path) -> None:
        self.rig = rig
        self.directory = directory
        self.state = directory / "state"
        self.log = directory / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[ControlClient] = []

    def start(self) -> Self:
        """Start the process and wait until it serves; raises `ServiceError` with its last words."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "ringdaq.daemon", "--rig", str(self.rig)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--state", str(self.state)], stdin=subprocess.DEVNULL, stderr=log
            )
        self._await_card(self.process)
        return self

    def _await_card(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECS
        while self._card_pid() != process.pid:
            try:
                code = process.wait(0.02)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
                process.kill()
                code = process.wait()
            words = self.log.read_text(errors="replace")[-2000:]
            raise ServiceError(f"the daemon should serve and ended with code {code}:\n{words}")

    def _card_pid(self) -> int | None:
        try:
            return int(self.card["pid"])
        except (OSError, ValueError):
            return None

    @property
    def card(self) -> dict[str, Any]:
        """What the daemon tells local programs: sockets, directories, addresses."""
        card: dict[str, Any] = json.loads((self.state / "daemon.json").read_text())
        return card

    @property
    def pid(self) -> int:
        """The daemon's process."""
        if self.process is None:
            raise ServiceError("the daemon was not started")
        return self.process.pid

    @property
    def rings(self) -> Path:
        """Where its rings lie."""
        return Path(self.card["ring_directory"])

    def control(self) -> ControlClient:
        """A new connection to its control socket, closed with the daemon."""
        client = ControlClient.connect(self.card["control_socket"])
        self._clients.append(client)
        return client

    def run(
        self, source: str, *, timeout: float = 60.0, sealed: bool = True, **start: Any
    ) -> dict[str, Any]:
        """Upload a script, run it, and return its status at the end (with its file sealed)."""
        control = self.control()
        script = control.call("scripts.upload", {"content": source, "name": "test.py"})
        run = control.call("runs.start", {"script": script["script_id"], **start})
        params = {"run_id": run["run_id"], "timeout": timeout, "sealed": sealed}
        status: dict[str, Any] = control.call("runs.wait", params, timeout=2 * timeout + 5)
        return status

    def stop(self) -> int:
        """Ask the daemon to end, and end it if it does not; returns its exit code."""
        for client in self._clients:
            client.close()
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
