"""Soft limits and the safe state, for every caller alike."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

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


def _make_safe(instrument: HasSafeState, deadline_secs: float, outcome: dict[str, str]) -> None:
    try:
        instrument.make_safe()
        instrument.rest(deadline_secs)
        outcome[instrument.name] = "safe"
    except Exception as error:
        outcome[instrument.name] = f"{type(error).__name__}: {error}"


def make_all_safe(
    instruments: Iterable[HasSafeState], deadline_secs: float = SAFE_DEADLINE_SECS
) -> dict[str, str]:
    """Bring all instruments to their safe state at once; returns `safe` or the fault, by name.

    Each gets a thread of its own, so one that hangs, or a worker that does, holds up no other.
    """
    outcome: dict[str, str] = {}
    threads = []
    for instrument in instruments:
        outcome[instrument.name] = f"no answer within {deadline_secs:g} s"
        thread = threading.Thread(
            target=_make_safe,
            args=(instrument, deadline_secs, outcome),
            name=f"safe-{instrument.name}",
            daemon=True,
        )
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(deadline_secs)
    return dict(outcome)
