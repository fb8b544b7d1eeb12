"""The way to one instrument: its turns, its deadlines, and what a stop means for its commands."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ringdaq.daemon.ticket import Ticket
from ringdaq.daemon.workers import Worker
from ringdaq.errors import (
    InstrumentBusyError,
    InstrumentError,
    InstrumentFaultError,
    InstrumentTimeoutError,
    RingdaqError,
)
from ringdaq.instruments import Entry

log = logging.getLogger(__name__)

T = TypeVar("T")
# On top of a driver's own timeout, before it counts as hung.
GRACE_SECS = 5.0


class Line:
    """Carries calls to one instrument, each in its turn and with a deadline; any thread may call.

    Every call raises an `InstrumentError` that names the instrument where its driver fails.
    """

    def __init__(self, entry: Entry, link: Worker) -> None:
        self._name, self._entry = entry.name, entry
        self._deadline_secs = entry.config.deadline_secs
        self._link = link
        # Waiting for rest must not keep the link from its other instruments.
        self._motion = Worker(f"{entry.name}-motion") if "Movable" in entry.capabilities else link
        self.calmed_at = -math.inf
        """When it was brought to rest last, in monotonic seconds."""

    def asking(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """A call that changes nothing, to be made again and again."""
        return self._ready(self._link, self._deadline_secs, what, function)

    def commanding(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """A call that changes something, to be made again and again.

        Its first arguments are since when it is wanted, and its ticket if it has one: it is not
        carried out if the instrument was stopped after that, or if it was taken back. A stop does
        not wait for the link, so it may also come while the call is under way; what the call did
        is then undone at once.
        """

        def unless_calmed(asked: float, ticket: Ticket | None, *args: Any) -> T:
            if asked <= self.calmed_at:
                raise self._unwanted(what)
            if ticket is not None and not ticket.begin():
                raise self._taken_back(what)
            result = function(*args)
            if asked <= self.calmed_at:
                self._driver.make_safe()
                raise self._unwanted(what)
            return result

        return self._ready(self._link, self._deadline_secs, what, unless_calmed)

    def settling(self, limit_secs: float) -> Callable[[], None]:
        """Wait for rest, so long at most; other calls go on meanwhile."""
        settle = partial(self._driver.wait_settled, limit_secs)
        return self._ready(self._motion, limit_secs + GRACE_SECS, "wait_settled", settle)

    def calm(self) -> None:
        """Refuse what was asked before now and has not been carried out."""
        self.calmed_at = time.monotonic()

    def close(self) -> None:
        """End the instrument's own thread."""
        if self._motion is not self._link:
            self._motion.close()

    @property
    def _driver(self) -> Any:
        return self._entry.instrument

    def _unwanted(self, what: str) -> InstrumentBusyError:
        return InstrumentBusyError(
            f"{self._name} was stopped, or a run took it, after {what!r} was asked for; it is not "
            "carried out: ask again if it is still wanted",
            instrument=self._name,
        )

    def _taken_back(self, what: str) -> InstrumentError:
        return InstrumentError(
            f"{self._name} has not begun {what!r} when its caller gave it up; it is not carried "
            "out: ask again if it is still wanted",
            instrument=self._name,
        )

    def _ready(
        self, worker: Worker, deadline_secs: float, what: str, function: Callable[..., T]
    ) -> Callable[..., T]:
        return worker.ready(
            function,
            deadline_secs=deadline_secs,
            what=f"{self._name}.{what}",
            blame=partial(self._blame, what),
        )

    def _blame(self, what: str, error: Exception) -> None:
        """Name the instrument in an error, and say what a driver's own exception means."""
        if isinstance(error, InstrumentError):
            error.instrument = self._name
        elif not isinstance(error, RingdaqError):
            raise self._fault(what, error) from error

    def _fault(self, what: str, error: Exception) -> InstrumentError:
        """What a driver's own exception means."""
        named = f"{self._name}.{what}"
        if isinstance(error, (TypeError, ValueError)):
            said = f"{named} cannot take these arguments: {error}"
            return InstrumentError(said, instrument=self._name)
        if isinstance(error, TimeoutError):
            return InstrumentTimeoutError(f"{named}: {error}", instrument=self._name)
        log.error("%s failed in its driver", named, exc_info=error)
        return InstrumentFaultError(
            f"{named} failed in its driver: {type(error).__name__}: {error}",
            instrument=self._name,
        )
