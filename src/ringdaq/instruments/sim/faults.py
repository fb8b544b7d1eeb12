"""Faults on purpose: what simulated instruments do wrong in mode `chaos`, repeatable by seed."""

import random
import threading
from typing import Annotated, Literal

from pydantic import Field

from ringdaq.config import Section
from ringdaq.errors import (
    InstrumentFaultError,
    InstrumentTimeoutError,
    NotConnectedError,
    RingdaqError,
)
from ringdaq.instruments.timing import Pause, Timer

Mode = Literal["instant", "realistic", "chaos"]
"""`instant`: no time passes. `realistic`: finite speed. `chaos`: realistic, with faults."""
FaultKind = Literal["fault", "timeout", "garbage", "disconnect"]
ALL_KINDS: tuple[FaultKind, ...] = ("fault", "timeout", "garbage", "disconnect")


class FaultOptions(Section):
    """`[instrument.options.faults]`: what goes wrong, and how often."""

    seed: int = 0
    """The same seed gives the same faults at the same calls."""
    rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The chance of each call to fail."""
    fail_after: Annotated[int, Field(ge=0)] = 0
    """Calls that go well before every further one fails; 0 is never."""
    kinds: list[FaultKind] = Field(default_factory=lambda: list(ALL_KINDS), min_length=1)
    """Which faults, each as likely as the others."""
    timeout_secs: Annotated[float, Field(gt=0)] = 30.0
    """How long a call hangs that times out; longer than the deadline of whoever waits."""
    disconnect_calls: Annotated[int, Field(ge=1)] = 3
    """How many calls find nobody after a disconnection."""


class Faults:
    """Decides before each call whether and how it fails.

    `stop` and `make_safe` do not come here: they always reach the simulated device.
    """

    def __init__(self, name: str, options: FaultOptions, timer: Timer) -> None:
        self._name = name
        self._options = options
        self._timer = timer
        self._pause = Pause(timer)
        self._random = random.Random(f"{options.seed}:{name}")
        self._lock = threading.Lock()
        self._calls = 0
        self._absent_calls = 0

    def check(self, verb: str) -> None:
        """Return if the call goes well; raise, perhaps after a long while, if it does not."""
        with self._lock:
            kind = self._decide()
        if kind is not None:
            raise self._error(kind, verb)

    def interrupt(self) -> None:
        """End a call that hangs."""
        self._pause.interrupt()

    def _decide(self) -> FaultKind | None:
        self._calls += 1
        if self._absent_calls > 0:
            self._absent_calls -= 1
            return "disconnect"
        # Always two draws, so that the sequence depends on the seed and the call's number alone.
        draw, kind = self._random.random(), self._random.choice(self._options.kinds)
        used_up = 0 < self._options.fail_after < self._calls
        if not used_up and draw >= self._options.rate:
            return None
        if kind == "disconnect":
            self._absent_calls = self._options.disconnect_calls
        return kind

    def _error(self, kind: FaultKind, verb: str) -> RingdaqError:
        if kind == "timeout":
            return self._timeout(verb)
        if kind == "disconnect":
            return NotConnectedError(
                f"{self._name}.{verb}: the simulated device is unplugged; try again",
                instrument=self._name,
            )
        words = "'E42 SIMULATED FAULT'" if kind == "fault" else repr(self._junk())
        wanted = "the device must be well" if kind == "fault" else "the reply must make sense"
        return InstrumentFaultError(
            f"{self._name}.{verb}: {wanted}; it said {words}; try again", instrument=self._name
        )

    def _junk(self) -> bytes:
        return bytes(self._random.randrange(256) for _ in range(8))

    def _timeout(self, verb: str) -> RingdaqError:
        begun = self._timer.now()
        ended = self._pause.sleep(self._options.timeout_secs)
        why = "" if ended else ", then it was told to stop"
        return InstrumentTimeoutError(
            f"{self._name}.{verb}: the simulated device did not answer for "
            f"{self._timer.now() - begun:.3g} s{why}; try again",
            instrument=self._name,
        )


class NoFaults:
    """What instruments have in the other modes."""

    def check(self, verb: str) -> None:
        """Return."""

    def interrupt(self) -> None:
        """Nothing hangs."""


def faults_for(
    name: str, mode: Mode, options: FaultOptions | None, timer: Timer
) -> Faults | NoFaults:
    """The faults that a mode asks for."""
    return Faults(name, options or FaultOptions(), timer) if mode == "chaos" else NoFaults()
