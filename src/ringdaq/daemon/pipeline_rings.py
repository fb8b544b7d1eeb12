"""The rings of one pipeline: listed while it is at work, each generation after the one before."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ringdaq.daemon.open_rings import ForeignRing
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import RecordingDesk
from ringdaq.errors import BadRequestError, StreamError

log = logging.getLogger(__name__)

FIRST_RECORD_SECS = 0.5
RESTARTED = "pipeline restarted"


class PipelineRings:
    """Lists what a pipeline's processes make, and lets recordings go on from one to the next."""

    def __init__(self, pipeline: str, publisher: Publisher, desk: RecordingDesk) -> None:
        self._pipeline, self._publisher, self._desk = pipeline, publisher, desk
        # Held while a ring is listed or taken off, so that none is listed after the last process.
        self._lock = threading.Lock()
        self._listing = False
        self._rings: dict[str, ForeignRing] = {}
        self._following: dict[str, threading.Thread] = {}

    @property
    def streams(self) -> list[str]:
        """The streams that it has made."""
        return sorted(self._rings)

    def begin(self) -> None:
        """List what comes."""
        with self._lock:
            self._listing = True

    def end(self) -> None:
        """List nothing any more; the rings stay readable."""
        with self._lock:
            self._listing = False
            for stream in self._rings:
                self._publisher.disown(stream)

    def take(self, path: Path, generation: str) -> None:
        """A process has made a ring; raises `StreamError` for one that cannot be listed."""
        if path.parent != self._publisher.rings.path:
            raise BadRequestError(f"a ring should lie where the daemon's do: {path}")
        ring = ForeignRing(path, generation, self._pipeline)
        stream = ring.spec.name
        if stream not in self._rings:
            self._list(ring)
            return
        before = self._following.get(stream)
        follow = threading.Thread(
            target=self._follow, args=(ring, before), name=f"first-of-{stream}", daemon=True
        )
        self._following[stream] = follow
        follow.start()

    def _list(self, ring: ForeignRing) -> None:
        with self._lock:
            if self._listing:
                self._publisher.adopt(ring)
            self._rings[ring.spec.name] = ring

    def _follow(self, ring: ForeignRing, before: threading.Thread | None) -> None:
        """Once its first record tells how much is missing, take a next generation's ring.

        One after the other: what a generation missed is reckoned from the one before it, which a
        process that died soon may have left just now.
        """
        if before is not None:
            before.join()
        try:
            if self._has_begun(ring):
                self._desk.succeed(self._rings[ring.spec.name], ring, RESTARTED)
                self._list(ring)
        except StreamError as error:
            log.error("pipeline %s: %s", self._pipeline, error)

    def _has_begun(self, ring: ForeignRing) -> bool:
        """Wait for a ring's first record; False if its writer has left without one."""
        while not ring.wait_for_first(FIRST_RECORD_SECS):
            if not ring.statistics().writer_alive:
                return False
        return True
