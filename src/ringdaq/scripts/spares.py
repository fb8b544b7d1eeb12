"""A bare process kept ready, so that a run need not wait for an interpreter to start."""

from __future__ import annotations

import logging
import os
import select
import threading

from ringdaq.scripts.spawn import Spawned, spawn

log = logging.getLogger(__name__)

FIRST_PAUSE_SECS = 1.0
MAX_PAUSE_SECS = 60.0
REST_SECS = 0.5
"""A run that has just begun needs the processors more than the next one's process does."""
ENDED_SECS = 0.1
"""Likewise for a run that has just ended: its instruments are brought to rest, its file closed."""
_CLOSE_SECS = 10.0
_SPAWN_SECS = 1.0


class Spares:
    """Keeps one process ready; any thread may take it, and the next is started then.

    A spare has imported what every script needs and waits for its start message. It has given up
    nothing yet and knows nothing of any script: it goes through the same door as any other, see
    `child.main`. One thread starts all of them and lives until `close`, because a process whose
    parent thread ends is killed; so runs must have ended before `close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._starting = False
        self._ready: Spawned | None = None
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._keep, name="script-spares", daemon=True)

    def start(self) -> None:
        """Begin to keep one ready."""
        self._thread.start()

    def take(self) -> Spawned:
        """The process that is ready, or a new one where none is; raises `OSError` as `spawn` does.

        The calling thread must live as long as a new one does.
        """
        with self._lock:
            # One that is about to be there is there sooner than another.
            self._lock.wait_for(lambda: not self._starting, _SPAWN_SECS)
            spare, self._ready = self._ready, None
            if spare is not None:
                self._ring()
        if spare is None:
            return spawn()
        if spare.gone_within(0.0):
            spare.discard()
            return spawn()
        return spare

    def close(self) -> None:
        """End the spare that is ready, and keep no other."""
        with self._lock:
            self._closing = True
            self._ring()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_SECS)
        with self._lock:
            spare, self._ready = self._ready, None
        if spare is not None:
            spare.discard()
        os.close(self._wake)

    def _ring(self) -> None:
        os.eventfd_write(self._wake, 1)

    # The keeper's thread.

    def _keep(self) -> None:
        pause = FIRST_PAUSE_SECS
        while not self._closing:
            if self._one_was_taken():
                pause = FIRST_PAUSE_SECS
            elif not self._closing:
                self._wait(pause)
                pause = min(2 * pause, MAX_PAUSE_SECS)

    def _one_was_taken(self) -> bool:
        """Keep one until somebody takes it and it rests or ends; `False` where that fails."""
        try:
            spare, process = self._spawn()
        except OSError as error:
            log.warning("no process can be kept ready for scripts: %s", error)
            return False
        try:
            taken = self._was_taken(spare, process)
            if taken and self._wait(REST_SECS, process):
                self._wait(ENDED_SECS)
            return taken
        finally:
            os.close(process)

    def _spawn(self) -> tuple[Spawned, int]:
        """One that may be taken, and a descriptor of it that whoever takes it does not close."""
        with self._lock:
            self._starting = True
        spare = None
        try:
            spare, process = _spawn()
            return spare, process
        finally:
            with self._lock:
                self._starting, self._ready = False, spare
                self._lock.notify_all()

    def _was_taken(self, spare: Spawned, process: int) -> bool:
        """Wait until somebody takes it, or it dies, which is told and cleared away."""
        self._wait(None, process)
        with self._lock:
            if self._ready is not spare:
                return True
            if self._closing:
                return False
            self._ready = None
        log.warning("the process that was kept ready for scripts has died: %s", spare.discard())
        return False

    def _wait(self, secs: float | None, process: int | None = None) -> bool:
        """Until somebody rings, a process ends (by its pidfd), or so many seconds have passed.

        Returns whether the process has ended.
        """
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if process is not None:
            poll.register(process, select.POLLIN)
        ready = poll.poll(None if secs is None else secs * 1000)
        if any(fd == self._wake for fd, _ in ready):
            os.eventfd_read(self._wake)
        return any(fd == process for fd, _ in ready)


def _spawn() -> tuple[Spawned, int]:
    """A new process and a second descriptor of it."""
    spare = spawn()
    try:
        return spare, os.dup(spare.fileno())
    except OSError:
        spare.discard()
        raise
