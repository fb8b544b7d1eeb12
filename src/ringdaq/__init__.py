"""Headless, scriptable data acquisition."""

from __future__ import annotations

__version__ = "0.1.0"
# Types of the lazy names are in the stub beside this file: an import here, even one for type
# checkers only, would tie every room to these.
_LAZY = {
    "attach": "ringdaq.streams",
    "connect": "ringdaq.client",
    "connect_async": "ringdaq.client",
    "native_stage": "ringdaq.pipeline",
}
__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> object:
    """Load a room when it is first asked for: `import ringdaq` stays light."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
