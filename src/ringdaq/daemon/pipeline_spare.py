"""A pipeline's process kept warm: it has imported all that takes time, and waits for a name."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)

REST_SECS = 0.3
"""A pipeline that has just begun needs the processor more than the next spare does."""
END_SECS = 5.0


class PipelineSpare:
    """Starts pipelines' processes, at once where one is warm; any thread may take it."""

    def __init__(self, socket: Path) -> None:
        self._command = [sys.executable, "-P", "-m", "ringdaq.pipeline", "--socket", str(socket)]
        self._types: set[str] = set()
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    def know(self, types: Collection[str]) -> None:
        """Types of stages that are to be imported beforehand."""
        self._types |= set(types)

    def keep(self) -> None:
        """Have one made ready, a little later."""
        with self._lock:
            if self._closed or self._timer is not None:
                return
            self._timer = threading.Timer(REST_SECS, self._make)
            self._timer.daemon = True
            self._timer.start()

    def _make(self) -> None:
        with self._lock:
            self._timer = None
            if not self._closed and self._spare is None:
                self._spare = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [*self._command, "--warm", *sorted(self._types)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True
        )

    def take(self, name: str) -> subprocess.Popen[bytes]:
        """A process that runs the pipeline of a name."""
        with self._lock:
            process, self._spare = self._spare, None
        if process is None or not _tell(process, name):
            process = self._spawn()
            _tell(process, name)
        self.keep()
        return process

    def close(self) -> None:
        """End the one that is warm, and keep no other."""
        with self._lock:
            self._closed = True
            process, self._spare = self._spare, None
            if self._timer is not None:
                self._timer.cancel()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell(process: subprocess.Popen[bytes], name: str) -> bool:
    """Tell a process which pipeline it is; False if it is gone."""
    if process.poll() is not None or process.stdin is None:
        return False
    try:
        process.stdin.write(f"{name}\n".encode())
        process.stdin.close()
    except OSError as error:
        log.warning("the process that was kept warm for pipelines is gone: %s", error)
        process.kill()
        process.wait()
        return False
    return True
