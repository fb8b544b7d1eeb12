"""Processes that a command starts and must not leave behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import IO, Any

PR_SET_PDEATHSIG = 1
PATIENCE_SECS = 10.0
# -P: the directory a user happens to stand in must not shadow modules.
PYTHON = (sys.executable, "-P")
RINGDAQ = (*PYTHON, "-m", "ringdaq.cli")

# Loaded before any fork: between fork and exec nothing may be loaded.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process with its parent, unless that has gone already."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class Children:
    """Started processes; leaving the context ends those that still run, the last one first."""

    def __init__(self, patience_secs: float = PATIENCE_SECS) -> None:
        self._patience_secs = patience_secs
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that Ctrl-C spares, and that ends when this one is killed."""
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=partial(_die_with, os.getpid()),
        )
        self._started.append(process)
        return process

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of them; those that do not end when asked are killed."""
        while self._started:
            end(self._started[-1], self._patience_secs)
            self._started.pop()


def end(process: subprocess.Popen[bytes], patience_secs: float) -> int:
    """Ask a process to end, kill it if it does not; returns its exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(patience_secs)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
