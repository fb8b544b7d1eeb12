"""Start a bare interpreter that waits for a script on a socketpair."""

from __future__ import annotations

import contextlib
import importlib.util
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
import ringdaq_core as core

import ringdaq
from ringdaq.scripts.page import Page, create_page
from ringdaq.scripts.wire import Wire

_BOOT = (
    "import sys; sys.path += sys.argv[4:]; "
    "from ringdaq.scripts.child import main; main(*map(int, sys.argv[1:4]))"
)
# Isolated, without site hooks, and without writing byte code: nothing of the user's gets in.
INTERPRETER = (sys.executable, "-I", "-S", "-B", "-W", "ignore", "-X", "utf8")


def spawn() -> Spawned:
    """Start the process; the calling thread must live as long as it does."""
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as childs:
        ours, theirs = socket.socketpair()
        childs.callback(theirs.close)
        undo.callback(ours.close)
        descriptor, page = create_page()
        childs.callback(os.close, descriptor)
        undo.callback(page.close)
        stderr, stderr_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(stderr, False)
        childs.callback(os.close, stderr_end)
        undo.callback(os.close, stderr)
        directory = tempfile.mkdtemp(prefix="ringdaq-run-")
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        popen = _start([theirs.fileno(), descriptor], directory, stderr_end)
        undo.pop_all()
    return Spawned(popen, Wire(ours, core.receive_soon), page, directory, stderr)


def _start(inherited: list[int], directory: str, stderr: int) -> subprocess.Popen[bytes]:
    numbers = map(str, [*inherited, os.getpid()])
    return subprocess.Popen(
        [*INTERPRETER, "-c", _BOOT, *numbers, *import_paths()],
        env={},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=inherited,
        start_new_session=True,
    )


def import_paths() -> list[str]:
    """Where a bare child finds ringdaq, the core and msgpack, however they were installed."""
    files = [ringdaq.__file__, *_core_file(), msgpack.__file__]
    homes = [str(Path(str(file)).parent.parent) for file in files]
    return list(dict.fromkeys(homes))


def _core_file() -> list[str]:
    """Found without being loaded, since only Rhai scripts need it."""
    spec = importlib.util.find_spec("ringdaq_core")
    return [spec.origin] if spec is not None and spec.origin is not None else []


class Spawned:
    """The process and all that must be given back when it is gone."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        wire: Wire,
        page: Page,
        directory: str,
        stderr: int,
    ) -> None:
        self.pid = popen.pid
        self.wire = wire
        self.page = page
        self._popen = popen
        self._directory = directory
        self._stderr = stderr
        self._pidfd = os.pidfd_open(popen.pid)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """What becomes readable when the process ends."""
        return self._pidfd

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

    def discard(self) -> str:
        """End a process that nobody needs; returns what it complained about."""
        self.kill()
        self.reap()
        said = self.stderr()
        self.wire.close()
        self.close()
        self.page.close()
        return said.strip()

    def close(self) -> None:
        """Give back everything but the wire, which belongs to the serving thread."""
        for descriptor in (self._pidfd, self._wake, self._stderr):
            os.close(descriptor)
        shutil.rmtree(self._directory, ignore_errors=True)
