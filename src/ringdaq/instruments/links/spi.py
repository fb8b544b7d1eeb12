"""A converter on a serial peripheral interface, and the line on which it says that it is ready."""

import importlib
from typing import Protocol, cast

from ringdaq.errors import ConfigError


class SpiLink(Protocol):
    """One chip; made by the callable that a rig names, with mode, speed and pins already set."""

    def transfer(self, sent: bytes) -> bytes:
        """Clock bytes out, and as many in, the chip selected throughout."""

    def ready(self, timeout_secs: float) -> list[int]:
        """Wait for the data-ready line to fall, for so long at most.

        Returns when it fell since the last call, each time in ns since the epoch as the kernel's
        interrupt saw it, the oldest first; empty after the time.
        """

    def close(self) -> None:
        """Give back the device and the pin."""


def open_spi(place: str) -> SpiLink:
    """Make the link that `package.module:CALLABLE` names."""
    module, colon, attribute = place.partition(":")
    try:
        make = getattr(importlib.import_module(module), attribute) if colon else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the link {place!r} cannot be loaded: {error}") from error
    if not callable(make):
        raise ConfigError(f"a link is a callable, written 'package.module:NAME'; found {place!r}")
    return cast(SpiLink, make())
