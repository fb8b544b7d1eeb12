"""A stand for the recorder's process: a daemon's side of the control socket, and ring writers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ringdaq.control import Channel
from ringdaq.streams import StreamReader

STARTED_NANOS = 1_700_000_000_000_000_000

# Writes rows (value = 0.5 n, n), one record each, at a steady rate; says when done, and waits.
WRITER = """
import sys, time
from pathlib import Path
from ringdaq.clock import now_nanos
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
directory, rate, total, capacity = Path(sys.argv[1]), *map(int, sys.argv[2:5])
spec = StreamSpec("fast", "rows", (Channel("value", "float64", "V"), Channel("n", "int64")))
writer = StreamWriter.create(directory, spec, capacity_bytes=capacity)
print(writer.path, flush=True)
sys.stdin.readline()
begun, n = time.monotonic(), 0
while n < total:
    due = min(total, int((time.monotonic() - begun) * rate))
    for n in range(n, due):
        writer.append(now_nanos(), n * 0.5, n)
    n = max(n, due)
    time.sleep(0.002)
print(n, flush=True)
sys.stdin.readline()
"""


def wait_until(condition: Any, what: str, timeout: float = 30.0) -> Any:
    """Wait for a condition; fails with what was wanted."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}"
        time.sleep(0.005)
    return found


class Writer:
    """A process that writes one ring."""

    def __init__(self, directory: Path, *, rate: int, total: int, capacity_bytes: int) -> None:
        self.total = total
        arguments = [str(directory), str(rate), str(total), str(capacity_bytes)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.path = Path(self._line())
        self.reader = StreamReader.open(self.path)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        """Begin to write."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Wait until all rows are written; the process lives on."""
        assert int(self._line()) == self.total

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Stand:
    """Answers the recorder as a daemon does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.data.mkdir()
        self.socket_path = directory / "control.sock"
        self.recordings: dict[str, dict[str, Any]] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.keep_journal = True
        self.attached = 0
        self.recorder: subprocess.Popen[bytes] | None = None
        self.recorder_command = [sys.executable, "-m", "ringdaq.recorder"]
        self._channels: list[Channel] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.socket_path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            channel = Channel(sock)
            self._channels.append(channel)
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()

    def _serve(self, channel: Channel) -> None:
        with contextlib.suppress(OSError):
            while (message := channel.receive()) is not None:
                result = self._answer(message["method"], message["params"])
                channel.send({"id": message["id"], "result": result})
                self.attached += message["method"] == "recorder.attach"

    def _answer(self, method: str, params: dict[str, Any]) -> Any:
        if method == "recorder.attach":
            return {
                "recordings": list(self.recordings.values()),
                "data_directory": str(self.data),
                "flush_secs": 0.2,
                "keep_journal": self.keep_journal,
            }
        if method == "recorder.report":
            self.reports[params["recording_id"]] = params
            if params["state"] != "recording":
                self.recordings.pop(params["recording_id"], None)
        return {}

    def tell(self, event: str, description: dict[str, Any]) -> None:
        """Send an event to whoever is attached; who is away learns of it when it attaches."""
        for channel in list(self._channels):
            with contextlib.suppress(OSError):
                channel.send({"event": event, "params": {"description": description}})

    # --- the recorder's process

    def start_recorder(self) -> None:
        before = self.attached
        self.recorder = subprocess.Popen(
            [*self.recorder_command, "--socket", str(self.socket_path)]
        )
        wait_until(lambda: self.attached > before, "the recorder to attach")

    def kill_recorder(self) -> None:
        assert self.recorder is not None
        self.recorder.send_signal(signal.SIGKILL)
        self.recorder.wait()

    def hang_up(self) -> None:
        """Be a daemon that died."""
        self._server.close()
        for channel in self._channels:
            channel.close()

    def close(self) -> None:
        self.hang_up()
        if self.recorder is not None and self.recorder.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.recorder.pid, signal.SIGCONT)
            self.recorder.kill()
            self.recorder.wait()

    # --- recordings

    def open(
        self,
        name: str,
        readers: list[StreamReader],
        *,
        start_sequence: int = 0,
        start_rows: int = 0,
        **more: Any,
    ) -> Path:
        """Describe a recording of rings, of whole ones unless told; returns its file."""
        file = self.data / f"{name}.h5"
        description = {
            "recording_id": name,
            "run_id": name,
            "directory": str(self.data / "journals" / name),
            "file": str(file),
            "title": "a test",
            "user": "nobody",
            "started_nanos": STARTED_NANOS,
            "instruments": [],
            "streams": [
                {
                    "name": reader.spec.name,
                    "path": str(reader.path),
                    "generation": reader.generation,
                    "start_sequence": start_sequence,
                    "start_rows": start_rows,
                    "end_sequence": None,
                    "end_rows": None,
                    "spec": reader.spec.to_dict(),
                }
                for reader in readers
            ],
            "end": None,
            **more,
        }
        self.recordings[name] = description
        self.tell("recording.open", description)
        return file

    def end(self, name: str, readers: list[StreamReader]) -> None:
        """End a recording where its rings are now."""
        description = self.recordings[name]
        for stream, reader in zip(description["streams"], readers, strict=True):
            now = reader.statistics()
            stream["end_sequence"], stream["end_rows"] = now.next_sequence, now.rows
        description["end"] = {"state": "completed", "error": None, "ended_nanos": STARTED_NANOS}
        self.tell("recording.close", description)

    def wait_sealed(self, name: str) -> dict[str, Any]:
        """Wait for the last report of a recording."""

        def sealed() -> dict[str, Any] | None:
            report = self.reports.get(name, {"state": ""})
            assert report["state"] != "failed", report
            return report if report["state"] == "sealed" else None

        found: dict[str, Any] = wait_until(sealed, f"{name} to be sealed")
        return found
