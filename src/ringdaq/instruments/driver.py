"""What a driver is: a class of instruments, its options, and how to make one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringdaq.config import Section
from ringdaq.instruments.timing import MonotonicTimer, Timer


@dataclass(frozen=True)
class Site:
    """What the registry gives to a driver that makes an instrument."""

    name: str
    """The instrument's name in the rig."""
    simulated: bool
    """Whether the rig says that it makes its values up."""
    share: Callable[[str, Callable[[], Any]], Any]
    """`share(key, make)` returns the link of that key, made by the first who asks."""
    follow: Callable[[str], Any]
    """The connected instrument of that name."""
    resolve: Callable[[Path], Path]
    """A path as the rig file means it."""
    timer: Timer = field(default_factory=MonotonicTimer)


def _own_link(name: str, options: Any) -> str:
    del options
    return name


@dataclass(frozen=True)
class Driver:
    """One kind of instrument that a rig may name."""

    instrument: type
    """Its class, from which the capabilities are known before anything is connected."""
    options: type[Section]
    """What may stand under `[instrument.options]`."""
    build: Callable[[Site, Any], Any]
    """Connect and return the instrument; raises an `InstrumentError` when it cannot."""
    made_up: bool | None = False
    """Whether its values are made up; `None` where only what answers at the other end can tell,
    and the driver compares it with `Site.simulated` itself."""
    link: Callable[[str, Any], str] = _own_link
    """The key of the line it is reached by, from its name and options; instruments on one line
    have one key and are spoken to one at a time."""
