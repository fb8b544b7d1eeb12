"""Sinks in Python: each with a reader of its tap, which sleeps in the core until a packet comes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import ringdaq_core as core

from ringdaq.pipeline.parts import PacketFormat, Sink
from ringdaq.pipeline.views import EegDataView

log = logging.getLogger(__name__)

WAIT_SECS = 60.0
TAKE_SECS = 30.0
FIRST_REST_SECS = 0.1
MAX_REST_SECS = 5.0


class ControlPlane:
    """One asyncio loop, for sinks whose `take` is a coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="control-plane")
        self._thread.daemon = True
        self._thread.start()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function, or have a coroutine run in the loop and wait for it."""
        if not asyncio.iscoroutinefunction(function):
            function(*arguments)
            return
        running = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)
        try:
            running.result(TAKE_SECS)
        finally:
            # What it was given ends with the call.
            running.cancel()

    def close(self) -> None:
        """End the loop; a second time does nothing."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TAKE_SECS)
        if not self._thread.is_alive():
            self._loop.close()


class SinkThread:
    """Gives a sink what its tap gives, and does what its `on_error` says where it fails.

    `stop` ends the sink, `bypass` leaves the packet out, `restart` makes it anew after a rest.
    The tap is emptied to the end in any case, so that no other branch waits for this one; packets
    that the sink has not taken are counted as dropped. Triggers, for which a sink has no place, go
    by and are counted.
    """

    def __init__(
        self,
        pipeline: core.Pipeline,
        name: str,
        form: PacketFormat,
        make: Callable[[], Sink],
        plane: ControlPlane,
        *,
        sink: Sink,
        on_error: str,
    ) -> None:
        """`make` gives a fresh sink, for a restart; `sink` is the first one."""
        self.name = name
        self.error = ""
        """What went wrong last; empty while all is well."""
        self.failed = False
        """Whether it takes nothing any more, or could not finish what it had taken."""
        self._pipeline, self._form, self._make, self._plane = pipeline, form, make, plane
        self._on_error = on_error
        self._sink: Sink | None = sink
        self._counted: Counter[str] = Counter()
        """What closed sinks have counted themselves."""
        self._packets = self._triggers = self._errors = self._dropped = self._restarts = 0
        self._rest, self._rest_until = FIRST_REST_SECS, 0.0
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def open(self) -> None:
        """Let the sink get ready; raises what keeps it from that."""
        assert self._sink is not None
        self._plane.call(self._sink.open, self._form)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self._go_on()
        except core.EndOfStreamError:
            pass
        except core.CoreError as error:
            self._note(error)
        finally:
            self._close()

    def _go_on(self) -> None:
        try:
            found = self._pipeline.read_tap(self.name, WAIT_SECS)
        except core.InvalidError as error:
            # A path that leads here has failed, once and for all; others may go on.
            self._note(error)
            return
        if isinstance(found, core.Packet):
            self._take(found)
        elif found is not None:
            self._triggers += 1

    def _take(self, packet: core.Packet) -> None:
        sink = self._sink or self._reborn()
        if sink is None:
            self._dropped += 1
            return
        try:
            self._plane.call(sink.take, EegDataView(packet, self._form))
            self._packets += 1
        except Exception as error:
            self._dropped += 1
            self._fail(error)
        finally:
            packet.release()

    def _fail(self, error: Exception) -> None:
        self._errors += 1
        self._note(error)
        if self._on_error == "bypass":
            return
        self._close()
        self.failed = self._on_error == "stop"
        self._rest_until = time.monotonic() + self._rest
        self._rest = min(2 * self._rest, MAX_REST_SECS)

    def _note(self, error: Exception) -> None:
        self.error = f"sink {self.name!r}: {type(error).__name__}: {error}"
        log.error("%s\n%s", self.error, "".join(traceback.format_exception(error)))

    def _reborn(self) -> Sink | None:
        if self.failed or time.monotonic() < self._rest_until:
            return None
        try:
            self._sink = self._make()
            self.open()
            self._restarts += 1
            return self._sink
        except Exception as error:
            self._fail(error)
            return None

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            self._plane.call(sink.close)
        except Exception as error:
            self._errors += 1
            self.failed = True
            self._note(error)
        self._counted.update(_counts_of(sink))

    def join(self, timeout: float) -> bool:
        """Wait for its end; returns whether it has come."""
        if self._thread.ident is None:
            self._close()
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def figures(self) -> dict[str, Any]:
        """What it has taken."""
        alive = self._thread.is_alive()
        counted = self._counted.copy()
        counted.update(_counts_of(self._sink))
        return {
            **counted,
            "state": "failed" if self.failed else "running" if alive else "ended",
            "packets": self._packets,
            "triggers": self._triggers,
            "errors": self._errors,
            "dropped": self._dropped,
            "restarts": self._restarts,
            "error": self.error,
        }


def _counts_of(sink: Sink | None) -> dict[str, int]:
    """What a sink counts itself, where it does."""
    counted: dict[str, int] = getattr(sink, "statistics", dict)()
    return counted
