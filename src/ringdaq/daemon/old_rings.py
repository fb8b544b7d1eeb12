"""Rings that nobody writes any more: how much memory they may hold, and for how long."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ringdaq.daemon.sizing import RingPlan, largest
from ringdaq.daemon.sources import SourceThread
from ringdaq.streams import RingDirectory

log = logging.getLogger(__name__)

RETENTION_SECS = 300.0
SWEEP_SECS = 30.0
CLOSED_AT_ONCE = 32
"""Once so many rings were closed, they are looked at."""
LEAST_KEPT_BYTES = 256 << 20


class OldRings:
    """Lets old rings stay for whoever still reads, within bounds.

    They may take twice what the daemon's own rings take; the oldest go first.
    A ring that an unfinished recording must still be read out of stays beyond that, unless the
    memory that it holds is needed for the daemon's own.
    """

    def __init__(self, rings: RingDirectory, needed: Callable[[], Collection[Path]]) -> None:
        """`needed` tells which rings recordings must still be read out of."""
        self._rings = rings
        self._needed = needed
        self._limit_bytes = LEAST_KEPT_BYTES
        self._dead_since: dict[Path, float] = {}

    def make_room(self, plans: Sequence[RingPlan]) -> None:
        """See to it that new rings fit; raises `RingSpaceError`, removing none, if not."""
        wanted = sum(one.file_bytes for one in plans)
        self._limit_bytes = max(LEAST_KEPT_BYTES, 2 * wanted)
        lacking = wanted - self._rings.free_bytes()
        if lacking > 0:
            self._give_up(lacking)
        self.trim()
        self._rings.check_space(wanted, largest(plans))

    def _give_up(self, lacking: int) -> None:
        """Remove old rings until so many bytes are free: those that recordings need come last."""
        dead = self._rings.all_dead()
        if sum(map(held_bytes, dead)) < lacking:
            return
        needed = self._needed()
        for path in sorted(dead, key=lambda one: one in needed):
            if lacking <= 0:
                break
            lacking -= held_bytes(path)
            self._rings.remove(path)
            if path in needed:
                log.error("no room was left: a recording lacks what it had not read: %s", path)
            else:
                log.warning("an old ring was removed to make room: %s", path)

    def trim(self) -> None:
        """Remove the oldest until the others keep to the limit."""
        dead = self._rings.all_dead()
        excess = sum(map(held_bytes, dead)) - self._limit_bytes
        needed = self._needed() if excess > 0 else ()
        for path in dead:
            if excess > 0 and path not in needed:
                excess -= held_bytes(path)
                self._rings.remove(path)

    def sweep(self, now: float) -> None:
        """Remove what has been dead for the retention time at `now` (monotonic seconds)."""
        dead = self._rings.all_dead()
        self._dead_since = {path: self._dead_since.get(path, now) for path in dead}
        expired = [p for p, since in self._dead_since.items() if now - since >= RETENTION_SECS]
        self._remove_all(expired)

    def close(self) -> None:
        """Give their memory back, once the daemon's own are closed; whoever reads may finish."""
        self._remove_all(self._rings.all_dead())
        with contextlib.suppress(OSError):  # others keep something there
            self._rings.path.rmdir()

    def _remove_all(self, paths: list[Path]) -> None:
        """Remove rings, but those that recordings need."""
        needed = self._needed() if paths else ()
        for path in paths:
            if path not in needed:
                self._rings.remove(path)


def held_bytes(path: Path) -> int:
    """What a ring takes; nothing if somebody has removed it."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_blocks * 512
    return 0


class Sweeper(SourceThread):
    """Looks after old rings now and then, and whenever many were closed."""

    def __init__(self, old: OldRings) -> None:
        super().__init__("ring-sweeper")
        self._old = old
        self._due = threading.Event()
        self._closed = 0

    def ring_closed(self) -> None:
        """One more ring is old now."""
        self._closed += 1
        if self._closed % CLOSED_AT_ONCE == 0:
            self._due.set()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._due.wait(SWEEP_SECS)
            self._due.clear()
            self._old.trim()
            self._old.sweep(time.monotonic())

    def stop(self, timeout: float = 2.0) -> bool:
        """Ask the thread to end; returns whether it has."""
        self.stopping.set()
        self._due.set()
        return super().stop(timeout)
