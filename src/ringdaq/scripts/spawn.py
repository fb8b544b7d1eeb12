"""Start a bare interpreter that waits for a script on a socketpair."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import msgpack

import ringdaq
from ringdaq.scripts.wire import Wire

_BOOT = (
    "import sys; sys.path += sys.argv[3:]; "
    "from ringdaq.scripts.child import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
# Isolated, without site hooks, and without writing byte code: nothing of the user's gets in.
_OPTIONS = ("-I", "-S", "-B", "-W", "ignore", "-X", "utf8")


def spawn() -> Spawned:
    """Start the process; the calling thread must live as long as it does."""
    ours, theirs = socket.socketpair()
    directory = tempfile.mkdtemp(prefix="ringdaq-run-")
    stderr, stderr_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(stderr_end, True)
    try:
        popen = _start(theirs, directory, stderr_end)
    except BaseException:
        ours.close()
        os.close(stderr)
        shutil.rmtree(directory, ignore_errors=True)
        raise
    finally:
        theirs.close()
        os.close(stderr_end)
    return Spawned(popen, Wire(ours), directory, stderr)


def _start(theirs: socket.socket, directory: str, stderr: int) -> subprocess.Popen[bytes]:
    arguments = [str(theirs.fileno()), str(os.getpid()), *_import_paths()]
    return subprocess.Popen(
        [sys.executable, *_OPTIONS, "-c", _BOOT, *arguments],
        env={},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )


def _import_paths() -> list[str]:
    """Where the child finds ringdaq and msgpack, however they were installed."""
    homes = [str(Path(str(module.__file__)).parent.parent) for module in (ringdaq, msgpack)]
    return list(dict.fromkeys(homes))


class Spawned:
    """The process and all that must be given back when it is gone."""

    def __init__(
        self, popen: subprocess.Popen[bytes], wire: Wire, directory: str, stderr: int
    ) -> None:
        self.pid = popen.pid
        self.wire = wire
        self._popen = popen
        self._directory = directory
        self._stderr = stderr
        self._pidfd = os.pidfd_open(popen.pid)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def gone_within(self, secs: float) -> bool:
        """Whether the process has ended; returns early after `wake`."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(min(secs, 3600.0) * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        return self._pidfd in ready

    def wake(self) -> None:
        """Make `gone_within` return."""
        os.eventfd_write(self._wake, 1)

    def kill(self) -> None:
        """End the process now."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reap(self) -> int:
        """The exit status of the process that has ended; whatever it left behind is killed."""
        # The dead leader still keeps its group's number from being used anew.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._popen.wait()

    def stderr(self) -> str:
        """What the interpreter itself complained about, as far as a pipe holds it."""
        try:
            return os.read(self._stderr, 1 << 16).decode(errors="replace")
        except BlockingIOError:
            return ""

    def close(self) -> None:
        """Give back everything but the wire, which belongs to the serving thread."""
        for descriptor in (self._pidfd, self._wake, self._stderr):
            os.close(descriptor)
        shutil.rmtree(self._directory, ignore_errors=True)
