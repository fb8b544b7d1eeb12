"""Keeps the catalogue up to what is recorded, without ever keeping the recorder waiting."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ringdaq.errors import RingdaqError
from ringdaq.recorder.catalogue.store import Catalogue

log = logging.getLogger(__name__)

MAX_WAITING = 1000
LAST_SECS = 5.0
Work = Callable[[Catalogue], None]


class Noter:
    """Writes from a thread of its own; what it cannot write is found by the next `refresh`."""

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory
        self._work: queue.Queue[Work | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._serve, name="catalogue", daemon=True)
        self._thread.start()

    def begin(self, description: Mapping[str, Any]) -> None:
        """A recording has begun."""
        self._put(lambda catalogue: catalogue.begin(description))

    def end(self, file: Path) -> None:
        """A recording's file will not change any more."""
        self._put(lambda catalogue: catalogue.note(file))

    def _put(self, work: Work) -> None:
        try:
            self._work.put_nowait(work)
        except queue.Full:
            log.warning("the catalogue is behind; 'ringdaq runs reindex' makes it whole")

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        self._work.put(None)
        self._thread.join(LAST_SECS)

    def _serve(self) -> None:
        catalogue: Catalogue | None = None
        while (work := self._work.get()) is not None:
            try:
                catalogue = catalogue or Catalogue(self._directory)
                work(catalogue)
            except (OSError, ValueError, KeyError, sqlite3.Error, RingdaqError) as error:
                log.warning("a recording is not in the catalogue: %s", error)
        if catalogue is not None:
            catalogue.close()
