"""For driver authors: conformance suites and protocol simulators."""

import importlib
from typing import Any

_PLACES = {
    "Esp300Simulator": "ringdaq.testing.esp300",
    "RecordingSink": "ringdaq.testing.recording_sink",
    "Subject": "ringdaq.testing.conformance",
    "TemporaryDaemon": "ringdaq.testing.daemon",
    "assert_conforms": "ringdaq.testing.conformance",
}

__all__ = ["Esp300Simulator", "RecordingSink", "Subject", "TemporaryDaemon", "assert_conforms"]


def __getattr__(name: str) -> Any:
    """Load a name where it is first asked for, so that a simulator does not load a daemon."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
