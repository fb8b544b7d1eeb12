"""Tells the daemon how recordings stand, without ever keeping the recorder waiting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ringdaq.errors import RingdaqError

log = logging.getLogger(__name__)

CALL_SECS = 5.0


class Reporter:
    """Sends the newest report of each recording from its own thread; older ones are replaced."""

    def __init__(self, call: Callable[[str, Mapping[str, Any]], object]) -> None:
        self._call = call
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="reporter", daemon=True)
        self._thread.start()

    def put(self, report: Mapping[str, Any]) -> None:
        """Hand over a report."""
        with self._changed:
            self._waiting[report["recording_id"]] = report
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until all reports are sent; returns whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not (self._waiting or self._busy), timeout
            )

    def close(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _serve(self) -> None:
        while (report := self._next()) is not None:
            try:
                self._call("recorder.report", report)
            except RingdaqError as error:
                log.warning("a report did not reach the daemon: %s", error)

    def _next(self) -> Mapping[str, Any] | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if self._closed:
                return None
            self._busy = True
            return self._waiting.pop(next(iter(self._waiting)))
