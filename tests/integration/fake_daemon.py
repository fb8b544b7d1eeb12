"""Stands for the daemon behind a gateway: a control socket with the answers a test gives it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringdaq.control import Channel
from ringdaq.errors import BadRequestError, to_wire

Method = Callable[..., Any]
TOKEN = "a-token-for-tests-only-0123456789"
DEADLINE_SECS = 30.0


def run_of(run_id: str, **changes: Any) -> dict[str, Any]:
    """A run as the daemon describes it."""
    run = {
        "run_id": run_id, "script_id": "s1", "script_name": "scan.py", "state": "running",
        "progress_percent": 12.5, "current_line": 3, "source_line": "camera.trigger()",
        "error": None, "created_nanos": 1, "started_nanos": 2, "ended_nanos": 0,
        "parameters": {"points": 5, "axis": "x"}, "instruments": ["stage"], "user": "ada",
        "output": "hello\n", "recording": None,
    }  # fmt: skip
    return {**run, **changes}


INSTRUMENT = {
    "name": "stage", "driver": "simulated.stage", "connected": True, "simulated": True,
    "capabilities": ["Movable"], "verbs": ["move_abs", "position", "stop"], "unit": "mm",
    "limits": {"position": [-5.0, 5.0]}, "error": "", "busy_with": "",
}  # fmt: skip
INFO = {
    "version": "0.1.0", "pid": 4711, "uptime_secs": 1.5, "features": ["python-scripts"],
    "instruments": [INSTRUMENT], "grpc_address": "", "rig": "demo", "data_directory": "/data",
}  # fmt: skip
SYSTEM = {
    "state": "running", "uptime_secs": 2.5, "memory_bytes": 1 << 20,
    "live_values": {"stage.position": 1.25, "meter.armed": True},
    "active_runs": [run_of("r1")], "timestamp_nanos": 99,
}  # fmt: skip


class FakeDaemon:
    """A control socket whose methods are a table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.ready = threading.Event()
        self.address = self.websocket_address = ""
        self.methods: dict[str, Method] = {
            "hello": lambda **_: {"version": "0.1.0"},
            "gateway.ready": self._gateway_ready,
            "info": lambda: INFO,
            "system.status": lambda: SYSTEM,
        }
        self._channels: list[Channel] = []
        self.listen()

    def listen(self) -> None:
        """Open the socket, for the first time or again."""
        self.ready.clear()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _gateway_ready(self, address: str, websocket_address: str) -> dict[str, Any]:
        self.address, self.websocket_address = address, websocket_address
        self.ready.set()
        return {}

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            channel = Channel(sock)
            self._channels.append(channel)
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()

    def _serve(self, channel: Channel) -> None:
        try:
            while (message := channel.receive()) is not None:
                if "withdraw" in message:
                    continue
                threading.Thread(target=self._answer, args=(channel, message), daemon=True).start()
        except OSError:
            pass

    def _answer(self, channel: Channel, message: dict[str, Any]) -> None:
        name, params = message["method"], message["params"]
        self.calls.append((name, params))
        try:
            method = self.methods.get(name)
            if method is None:
                raise BadRequestError(f"this test's daemon has no {name!r}")
            reply = {"result": method(**params)}
        except Exception as error:
            reply = {"error": to_wire(error)}
        with contextlib.suppress(OSError):
            channel.send({"id": message["id"], **reply})

    def last_call(self, method: str) -> dict[str, Any]:
        """The parameters of the newest call of a method."""
        return next(params for name, params in reversed(self.calls) if name == method)

    def send_event(self, event: str) -> None:
        """Push an event to everybody."""
        for channel in self._channels:
            with contextlib.suppress(OSError):
                channel.send({"event": event, "params": {}})

    def hang_up(self) -> None:
        """Die: close the socket and every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink()
        for channel in self._channels:
            channel.close()
        self._channels.clear()


class GatewayProcess:
    """A real gateway process in front of a fake daemon."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory
        self.rings = directory / "rings"
        self.rings.mkdir(mode=0o700, exist_ok=True)
        self.token_file = directory / "token"
        self.token_file.write_text(TOKEN)
        self.token_file.chmod(0o600)
        self.daemon = FakeDaemon(directory / "control.sock")
        with (directory / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(port), stderr=log)
        if not self.daemon.ready.wait(DEADLINE_SECS):
            self.process.kill()
            raise TimeoutError((directory / "gateway.log").read_text())
        self.address = self.daemon.address
        self.write_card()

    def command(self, port: int) -> list[str]:
        """The command line of a gateway for this directory."""
        return [
            *(sys.executable, "-m", "ringdaq.gateway"),
            *("--socket", str(self.directory / "control.sock"), "--port", str(port)),
            *("--token-file", str(self.token_file), "--rings", str(self.rings)),
        ]

    def write_card(self) -> None:
        """Leave what a daemon leaves for local clients."""
        card = {
            "pid": os.getpid(), "version": "0.1.0", "started_nanos": 1,
            "control_socket": str(self.daemon.path), "ring_directory": str(self.rings),
            "data_directory": str(self.directory),
            "grpc_address": self.address,
            "websocket_address": self.daemon.websocket_address, "token_file": str(self.token_file),
        }  # fmt: skip
        (self.directory / "daemon.json").write_text(json.dumps(card))

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.daemon.hang_up()
