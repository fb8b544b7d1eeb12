"""What is checked, and how a check says no."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringdaq.errors import InstrumentError

NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True)
class Subject:
    """An instrument, and what the checks may do with it."""

    instrument: Any
    positions: tuple[float, float] = (0.0, 1.0)
    """Two places, in its unit, between which a movable instrument may go to and fro."""
    tolerance: float = 0.01
    """How far, in its unit, from a target it may come to rest."""
    simulated: bool = False
    """What its streams must say of themselves."""
    deadline_secs: float = 30.0
    """For each thing that is waited for."""


@dataclass(frozen=True)
class Check:
    """One rule of one capability."""

    capability: str
    run: Callable[[Subject], None]
    """Raises `AssertionError` where the rule is broken."""

    @property
    def name(self) -> str:
        """The rule in words."""
        return f"{self.capability}: {self.run.__name__.replace('_', ' ')}"

    def __str__(self) -> str:
        return self.name


def must(condition: object, rule: str) -> None:
    """Raise with the rule that is broken, unless the condition holds."""
    if not condition:
        raise AssertionError(rule)


def refused(
    call: Callable[[], object], rule: str, error: type[InstrumentError] = InstrumentError
) -> None:
    """Raise unless the call is refused with an error of that class."""
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(
            f"{rule}; it must raise {error.__name__}, and raised {type(other).__name__}: {other}"
        ) from other
    raise AssertionError(f"{rule}; it must raise {error.__name__}, and raised nothing")


def beside(call: Callable[[], object]) -> "Beside":
    """Start a call on a thread of its own."""
    return Beside(call)


class Beside:
    """A call under way on another thread."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self.result: object = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.error = error

    def ended(self, timeout: float) -> bool:
        """Wait for its end; returns whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()
