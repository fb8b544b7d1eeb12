"""Child processes that are started again when they die."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from ringdaq.held import HELD, let_go, tell

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECS = 0.1
# With the start of a process on a busy machine, less than the 3 s after which all is served again.
MAX_BACKOFF_SECS = 1.0
STABLE_SECS = 2.0
# A child that ends with this code asks not to be started again: what it needs is not there.
GIVE_UP_CODE = 4


class Child:
    """One supervised process: restarted with growing pauses until it is stopped on purpose."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        on_give_up: Callable[[str], None] | None = None,
        *,
        final: Mapping[int, str] | None = None,
        on_end: Callable[[str], None] | None = None,
        spawn: Callable[[], subprocess.Popen[bytes]] | None = None,
    ) -> None:
        """`final` are exit codes after which `on_end` is told their word, and nothing restarted.

        `spawn` starts a process in the place of the arguments.
        """
        self.name = name
        # -P: what lies in the current directory must not stand in for the standard library.
        self._command = [sys.executable, "-P", *arguments]
        self._on_give_up = on_give_up
        self._final, self._on_end = final or {}, on_end
        self._start = spawn or self._from_arguments
        self._gave_up = False
        self._insisting = False
        self._stopping = threading.Event()
        self._held = False
        # Whoever lets a held process go must know whether that is the one that runs now.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self._thread = threading.Thread(
            target=self._supervise, name=f"{name}-supervisor", daemon=True
        )

    @property
    def pid(self) -> int | None:
        """The pid of the process that runs now, if one does."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self, *, held: bool = False) -> None:
        """Start the process; it runs on its own session so that a terminal's Ctrl-C spares it.

        A held one imports what it needs and waits for `release`.
        """
        self._held = held
        self._spawn()
        self._thread.start()

    def release(self, arguments: Sequence[str], on_give_up: Callable[[str], None]) -> None:
        """Let a held process begin; `on_give_up` is told too if it has given up already."""
        with self._lock:
            self._on_give_up = on_give_up
            self._command += arguments
            self._held = False
            if self._process is not None:
                tell(self._process, arguments)
            gave_up = self._gave_up
        if gave_up:
            on_give_up(self.name)

    def insist(self) -> None:
        """Start it again from now on even if it gives up: it could run once, and will again."""
        self._insisting = True

    def _from_arguments(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *([HELD] if self._held else [])],
            stdin=subprocess.PIPE if self._held else subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        """A new process; None if it is to be stopped, which then finds no process behind it."""
        with self._lock:
            if self._stopping.is_set():
                return None
            self._process = process = self._start()
        return process

    def _supervise(self) -> None:
        backoff = FIRST_BACKOFF_SECS
        process = self._process
        while process is not None:
            started = time.monotonic()
            code = process.wait()
            with self._lock:
                let_go(process)
            if self._stopping.is_set():
                return
            if code in self._final:
                self._tell_end(self._final[code])
                return
            if code == GIVE_UP_CODE and not self._insisting:
                self._give_up(code)
                return
            if time.monotonic() - started > STABLE_SECS:
                backoff = FIRST_BACKOFF_SECS
            log.warning("the %s ended with code %d; starting it again", self.name, code)
            process = self._start_again(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF_SECS)

    def _start_again(self, rest: float) -> subprocess.Popen[bytes] | None:
        """The next process, after a rest; a machine that has no room for one is asked again."""
        while not self._stopping.wait(rest):
            self.restarts += 1
            try:
                return self._spawn()
            except OSError as error:
                log.error("the %s cannot be started: %s; trying again", self.name, error)
                rest = MAX_BACKOFF_SECS
        return None

    def _tell_end(self, word: str) -> None:
        log.info("the %s has %s", self.name, word)
        if self._on_end is not None:
            self._on_end(word)

    def _give_up(self, code: int) -> None:
        log.error("the %s ended with code %d and is not started again", self.name, code)
        with self._lock:
            self._gave_up, on_give_up = True, self._on_give_up
        if on_give_up is not None:
            on_give_up(self.name)

    def kill(self) -> None:
        """End the process as it is; the next one is started soon."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def stop(self, timeout: float = 5.0) -> None:
        """Ask the process to end, and end it when it has not within the time."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            log.warning("the %s did not end within %g s and is killed", self.name, timeout)
            process.kill()
            process.wait()
