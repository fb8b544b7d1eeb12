"""A Newport ESP300 at the other end of a pseudo-terminal, to test a driver over a real line.

As a program it prints the line's path and serves until it is ended:

    python -m ringdaq.testing.esp300
"""

import contextlib
import errno
import os
import select
import signal
import sys
import threading
import time
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from ringdaq.testing.esp300_model import Esp300Model

LONGEST_LINE = 4096


class Esp300Simulator:
    """Serves on a thread of its own, from `with` to its end.

    ```python
    with Esp300Simulator() as simulator:
        ...  # open simulator.port
    ```

    `link` asks for a symbolic link to the port, so that its path stays the same when the simulator
    is ended and started again.
    """

    def __init__(self, axes: int = 3, *, link: Path | None = None) -> None:
        self.model = Esp300Model(axes)
        self.lines: list[str] = []
        """What came in, newest last; the last 1000."""
        self._link = link
        self._lock = threading.Lock()
        self._late_secs: list[float] = []
        self._garbled: list[bytes] = []
        self._dropped = 0
        self._outbox: list[tuple[float, bytes]] = []
        self._received = b""
        self._thread = threading.Thread(target=self._serve, name="esp300-simulator", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> Self:
        """Open the line and serve it."""
        # The other end stays open here too: without it, each close by a driver would hang up.
        self._master, self._other_end = os.openpty()
        tty.setraw(self._other_end)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._other_end)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.port)
            self.port = str(self._link)
        self._wake_read, self._wake_write = os.pipe()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close the line, as if the cable were pulled."""
        self._stopping.set()
        os.write(self._wake_write, b"x")
        self._thread.join()
        for fd in (self._master, self._other_end, self._wake_read, self._wake_write):
            os.close(fd)
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- misbehaviour, for tests of drivers

    def delay_next(self, secs: float) -> None:
        """Send the next reply, not yet thought of, so much too late."""
        with self._lock:
            self._late_secs.append(secs)

    def garble_next(self, junk: bytes = b"\xff\x00?!") -> None:
        """Send this in place of the next reply."""
        with self._lock:
            self._garbled.append(junk)

    def drop_next(self, replies: int = 1) -> None:
        """Swallow the next replies."""
        with self._lock:
            self._dropped += replies

    # --- serving

    def _serve(self) -> None:
        while not self._stopping.is_set():
            due = self._outbox[0][0] - time.monotonic() if self._outbox else None
            timeout = None if due is None else max(0.0, due)
            ready, _, _ = select.select([self._master, self._wake_read], [], [], timeout)
            if self._master in ready:
                self._receive()
            self._send_due()

    def _receive(self) -> None:
        try:
            self._received += os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return
        # Drivers end a line with CR, LF or both.
        *whole, rest = self._received.replace(b"\r", b"\n").split(b"\n")
        self._received = rest[-LONGEST_LINE:]
        for line in filter(None, whole):
            self._carry_out(line.decode("ascii", errors="replace"))

    def _carry_out(self, line: str) -> None:
        self.lines = [*self.lines[-999:], line]
        for reply in self.model.answer(line):
            self._post(reply)

    def _post(self, reply: str) -> None:
        with self._lock:
            if self._dropped:
                self._dropped -= 1
                return
            data = self._garbled.pop(0) if self._garbled else reply.encode("ascii")
            late = self._late_secs.pop(0) if self._late_secs else 0.0
        # A device answers in order: what comes after a late reply is at least as late.
        last = self._outbox[-1][0] if self._outbox else 0.0
        self._outbox.append((max(last, time.monotonic() + late), data + b"\r\n"))

    def _send_due(self) -> None:
        while self._outbox and self._outbox[0][0] <= time.monotonic():
            _, data = self._outbox.pop(0)
            # Nobody reads: a real line loses it too.
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)


def main() -> None:
    """Serve until the process is told to end."""
    # A handler would run late or never: one that is called just before a wait is not heard in it.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    simulator = Esp300Simulator().start()
    sys.stdout.write(f"{simulator.port}\n")
    sys.stdout.flush()
    signal.sigwait(ends)
    simulator.stop()


if __name__ == "__main__":
    main()
