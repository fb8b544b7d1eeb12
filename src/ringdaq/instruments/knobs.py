"""Checks that every `configure` needs."""

from collections.abc import Iterable, Mapping
from typing import Any

from ringdaq.config import nearest
from ringdaq.errors import InstrumentError


def check_knobs(instrument: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse knobs that the instrument does not have."""
    names = sorted(known)
    for name in given:
        if name not in names:
            raise InstrumentError(
                f"{instrument} has no setting {name!r}; {nearest(name, names)}",
                instrument=instrument,
            )
