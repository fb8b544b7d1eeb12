"""A recorder's process, and the daemon's side of its control socket."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.record_load import describe
from ringdaq.control import Channel


def cpu_secs(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Stand:
    """Answers one recorder as a daemon does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A socket's path must be short.
        self._place = tempfile.TemporaryDirectory(prefix="rq-")
        path = Path(self._place.name) / "s"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        self._attached = threading.Event()
        self._reports: dict[str, Any] = {}
        self._channel: Channel | None = None
        threading.Thread(target=self._serve, daemon=True).start()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ringdaq.recorder", "--socket", str(path)]
        )
        self.pid = self._process.pid
        if not self._attached.wait(30):
            raise RuntimeError("the recorder did not attach within 30 s")

    def _serve(self) -> None:
        sock, _ = self._server.accept()
        self._channel = Channel(sock)
        with contextlib.suppress(OSError):
            while (message := self._channel.receive()) is not None:
                if message["method"] == "recorder.report":
                    self._reports = message["params"]
                self._channel.send({"id": message["id"], "result": {"recordings": []}})
                if message["method"] == "recorder.attach":
                    self._attached.set()

    def record(self, paths: list[Path]) -> None:
        """Have rings recorded, and wait until rows are kept."""
        self._tell("recording.open", describe(self._directory, paths))
        self._await(lambda: bool(self._reports.get("streams")))

    def pause(self) -> None:
        """Let the recorder stand still."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on; what it missed is still in the rings."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the recorder."""
        self._process.kill()
        self._process.wait()

    def _tell(self, event: str, description: dict[str, Any]) -> None:
        assert self._channel is not None
        self._channel.send({"event": event, "params": {"description": description}})

    def _await(self, condition: Any) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError("the recorder did not record within 60 s")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._server.close()
        self._place.cleanup()
