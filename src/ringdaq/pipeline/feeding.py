"""Sources in Python: each on a thread of its own, with a feed into the core."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any

import ringdaq_core as core

from ringdaq.errors import ClosedStreamError
from ringdaq.pipeline.parts import Source

log = logging.getLogger(__name__)

ROOM_SECS = 0.5
"""How long a feed waits for room before it looks whether the pipeline is to end."""


class CoreFeed:
    """Hands blocks to a feed of the core, and counts them."""

    def __init__(self, pipeline: core.Pipeline, name: str, stopping: threading.Event) -> None:
        self._pipeline, self._name, self._stopping = pipeline, name, stopping
        self.blocks = self.samples = self.refused = 0

    @property
    def stopping(self) -> bool:
        """Whether the pipeline is to end."""
        return self._stopping.is_set()

    def wait(self, timeout_secs: float) -> bool:
        """Wait so long, or until the pipeline is to end; returns `stopping`."""
        return self._stopping.wait(timeout_secs)

    def write(self, block: Any, origin_nanos: int, first_sample: int = 0) -> None:
        """Hand in a block; waits for room, raises `ClosedStreamError` after the end."""
        self._patiently(
            lambda: self._pipeline.write(
                self._name, block, origin_nanos, first_sample, self.blocks, ROOM_SECS
            )
        )
        self.blocks += 1
        self.samples += len(block)

    def mark(self, time_nanos: int, channel: int = 0, value: float = 0.0) -> None:
        """Hand in a marker, likewise."""
        self._patiently(
            lambda: self._pipeline.mark(self._name, time_nanos, channel, value, ROOM_SECS)
        )

    def _patiently(self, hand_in: Callable[[], None]) -> None:
        while True:
            try:
                return hand_in()
            except TimeoutError:
                if self.stopping:
                    self.refused += 1
                    raise self._ended() from None
            except core.ClosedError:
                self.refused += 1
                raise self._ended() from None

    def _ended(self) -> ClosedStreamError:
        return ClosedStreamError(f"source {self._name!r}: the pipeline has ended")


class SourceThread:
    """Runs a source to its end."""

    def __init__(self, pipeline: core.Pipeline, name: str, source: Source) -> None:
        self.name = name
        self.error = ""
        """Why it failed; empty while it runs, and when it came to its end."""
        self._stopping = threading.Event()
        self._source = source
        self._feed = CoreFeed(pipeline, name, self._stopping)
        self._thread = threading.Thread(target=self._run, name=f"source-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._source.run(self._feed)
        except ClosedStreamError as error:
            if not self._feed.stopping:
                self.error = str(error)
        except Exception as error:
            self.error = f"source {self.name!r}: {type(error).__name__}: {error}"
            log.error("%s\n%s", self.error, traceback.format_exc())
        finally:
            self._close()

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:
            log.warning("source %s cannot be closed: %s", self.name, error)

    @property
    def alive(self) -> bool:
        """Whether more may come."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> bool:
        """Ask it to end; returns whether it has within the time."""
        self._stopping.set()
        if self._thread.ident is None:
            self._close()
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def figures(self) -> dict[str, Any]:
        """What it has handed in."""
        feed = self._feed
        counted: dict[str, int] = getattr(self._source, "statistics", dict)()
        return {
            **counted,
            "state": "running" if self.alive else "failed" if self.error else "ended",
            "blocks": feed.blocks,
            "samples": feed.samples,
            "refused": feed.refused,
            "error": self.error,
        }
