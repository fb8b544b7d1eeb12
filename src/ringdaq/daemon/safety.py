"""Soft limits and the safe state, for every caller alike."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from ringdaq.errors import LimitError

SAFE_DEADLINE_SECS = 2.0

# The quantity that each verb's first argument sets, as the rig file's `limits` name it.
LIMITED = {
    "move_abs": "position",
    "set_exposure": "exposure",
    "set_wavelength": "wavelength",
}


def check_number(value: Any, *, instrument: str, what: str) -> float:
    """The value as a float; refuses what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LimitError(
            f"{instrument}: {what} must be a number; found {value!r:.80}", instrument=instrument
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise LimitError(
            f"{instrument}: {what} must be a finite number; found {number}", instrument=instrument
        )
    return number


def check_limit(
    value: float,
    limits: Mapping[str, tuple[float, float]],
    *,
    instrument: str,
    quantity: str,
    unit: str,
) -> float:
    """The value, if it lies within the soft limits of its quantity."""
    low, high = limits.get(quantity, (-math.inf, math.inf))
    if not low <= value <= high:
        raise LimitError(
            f"{instrument}: {quantity} must lie within {low:g} to {high:g} {unit}".rstrip()
            + f"; found {value:g}; nothing moved",
            instrument=instrument,
        )
    return value


# Of the quantities whose unit is not the instrument's own.
UNITS = {"exposure": "s", "wavelength": "nm"}


class HasSafeState(Protocol):
    """What can be brought to rest."""

    name: str

    def make_safe(self) -> None: ...

    def rest(self, deadline_secs: float) -> None:
        """Return once it is at rest; what brakes is not safe before."""


class CanStop(Protocol):
    """What can be stopped, in two steps."""

    name: str

    def calm(self) -> None:
        """Refuse what was asked of it before now; waits for nothing."""

    def halt(self) -> None:
        """End its motion."""


class _Named(Protocol):
    name: str


N = TypeVar("N", bound=_Named)


def make_all_safe(
    instruments: Iterable[HasSafeState], deadline_secs: float = SAFE_DEADLINE_SECS
) -> dict[str, str]:
    """Bring all instruments to their safe state at once; returns `safe` or the fault, by name."""

    def make_safe(instrument: HasSafeState) -> None:
        instrument.make_safe()
        instrument.rest(deadline_secs)

    return _all_at_once(instruments, make_safe, "safe", deadline_secs)


def stop_all(
    instruments: Iterable[CanStop], deadline_secs: float = SAFE_DEADLINE_SECS
) -> dict[str, str]:
    """End all motions at once; returns `stopped` or the fault, by name.

    None of them takes a command from before, even where another one's stop hangs.
    """
    all_of_them = list(instruments)
    for instrument in all_of_them:
        instrument.calm()
    return _all_at_once(all_of_them, lambda i: i.halt(), "stopped", deadline_secs)


def _all_at_once(
    instruments: Iterable[N], act: Callable[[N], None], done: str, deadline_secs: float
) -> dict[str, str]:
    """Each has a thread of its own, so one that hangs, or a worker that does, holds up no other."""
    outcome: dict[str, str] = {}

    def attempt(instrument: N) -> None:
        try:
            act(instrument)
            outcome[instrument.name] = done
        except Exception as error:
            outcome[instrument.name] = f"{type(error).__name__}: {error}"

    threads = []
    for instrument in instruments:
        outcome[instrument.name] = f"no answer within {deadline_secs:g} s"
        name = f"{done}-{instrument.name}"
        threads.append(threading.Thread(target=attempt, args=(instrument,), name=name, daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(deadline_secs)
    return dict(outcome)
