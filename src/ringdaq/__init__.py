"""Headless, scriptable data acquisition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringdaq.client import connect, connect_async
    from ringdaq.streams import attach

__version__ = "0.1.0"
__all__ = ["__version__", "attach", "connect", "connect_async"]

_LAZY = {
    "attach": "ringdaq.streams",
    "connect": "ringdaq.client",
    "connect_async": "ringdaq.client",
}


def __getattr__(name: str) -> Any:
    """Load a room when it is first asked for: `import ringdaq` stays light."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
