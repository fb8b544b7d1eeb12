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
"""How long a feed waits for room at a time, to look whether the pipeline is to end."""


class CoreFeed:
    """Hands blocks to a feed of the core, each of them once, and counts them."""

    def __init__(self, pipeline: core.Pipeline, name: str, stopping: threading.Event) -> None:
        self._pipeline, self._name, self._stopping = pipeline, name, stopping
        self.blocks = self.samples = self.refused = self.refused_samples = 0

    @property
    def stopping(self) -> bool:
        """Whether the pipeline is to end."""
        return self._stopping.is_set()

    def wait(self, timeout_secs: float) -> bool:
        """Wait so long, or until the pipeline is to end; returns `stopping`."""
        return self._stopping.wait(timeout_secs)

    def write(self, block: Any, origin_nanos: int, first_sample: int = 0) -> None:
        """Hand in a block; waits for room, raises `ClosedStreamError` after the end."""
        done = self._hand_in(
            lambda: self._pipeline.write(
                self._name, block, origin_nanos, first_sample, self.blocks, ROOM_SECS
            ),
            rows=len(block),
        )
        self.blocks += 1
        self.samples += len(block)
        self._settle(done)

    def mark(self, time_nanos: int, channel: int = 0, value: float = 0.0) -> None:
        """Hand in a marker, likewise."""
        self._settle(
            self._hand_in(
                lambda: self._pipeline.mark(self._name, time_nanos, channel, value, ROOM_SECS)
            )
        )

    @property
    def lost_samples(self) -> int:
        """Samples that the pipeline did not take, or some path of it, as it ended."""
        return self.refused_samples + self._pipeline.lost_rows(self._name)

    def _hand_in(self, hand_in: Callable[[], bool], rows: int = 0) -> bool:
        """Wait until the core has taken it; whether it has come wherever it goes."""
        while True:
            try:
                return hand_in()
            except TimeoutError:
                if not self.stopping:
                    continue
                why = "the pipeline has ended"
            except core.ClosedError as error:
                why = str(error)
            self.refused += 1
            self.refused_samples += rows
            raise self._ended(why)

    def _settle(self, done: bool) -> None:
        """Wait until it has come wherever it goes; at the end, that is left to the core."""
        while not done:
            if self.stopping:
                raise self._ended("the pipeline has ended")
            try:
                done = self._pipeline.settle(self._name, ROOM_SECS)
            except core.ClosedError as error:
                raise self._ended(str(error)) from None

    def _ended(self, why: str) -> ClosedStreamError:
        return ClosedStreamError(f"source {self._name!r}: {why}")


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
        lost = feed.lost_samples if self._thread.ident is not None else 0
        return {
            **counted,
            "lost_samples": counted.get("lost_samples", 0) + lost,
            "state": "running" if self.alive else "failed" if self.error else "ended",
            "blocks": feed.blocks,
            "samples": feed.samples,
            "refused": feed.refused,
            "error": self.error,
        }
