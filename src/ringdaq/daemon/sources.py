"""Threads that keep samples coming: sample producers, and instruments that are polled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.errors import RingdaqError

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECS = 0.5
MAX_BACKOFF_SECS = 30.0


class SourceThread:
    """One background thread that runs until it is asked to stop, and starts anew after a fault."""

    def __init__(self, name: str) -> None:
        self.stopping = threading.Event()
        self.error = ""
        """What went wrong last; empty while all is well."""
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def run(self) -> None:
        """Work until `stopping` is set."""
        raise AssertionError("a source thread must say how it runs")

    def _serve(self) -> None:
        backoff = FIRST_BACKOFF_SECS
        while not self.stopping.is_set():
            try:
                self.run()
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"
                log.error("%s failed and starts again: %s", self._thread.name, self.error)
                self.stopping.wait(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF_SECS)
            else:
                return

    def stop(self, timeout: float = 2.0) -> bool:
        """Ask the thread to end; returns whether it has."""
        self.stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()


class Producer(SourceThread):
    """Lets a sample producer fill its rings."""

    def __init__(self, instrument: Any, sinks: Mapping[str, Any]) -> None:
        super().__init__(f"{instrument.name}-samples")
        self._instrument = instrument
        self._sinks = sinks

    def run(self) -> None:
        self._instrument.run(self._sinks, self.stopping)


class Poller(SourceThread):
    """Reads an instrument at a fixed rate."""

    def __init__(self, host: InstrumentHost, rate_hz: float) -> None:
        super().__init__(f"{host.name}-poll")
        self._host = host
        self._period = 1.0 / rate_hz

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            self._poll()
            now = time.monotonic()
            # After a stall, go on from now: a burst of readings tells nobody anything.
            due = max(due + self._period, now)

    def _poll(self) -> None:
        try:
            self._host.poll()
            self.error = ""
        except RingdaqError as error:
            if not self.error:
                log.warning("%s cannot be polled: %s", self._host.name, error)
            self.error = str(error)
