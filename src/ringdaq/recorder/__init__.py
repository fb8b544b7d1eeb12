"""How samples are kept: a journal and NeXus HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.recorder.contents import describe_file
    from ringdaq.recorder.rebuild import RecoveryReport, recover
    from ringdaq.recorder.scan import Damage

__all__ = ["Damage", "RecoveryReport", "describe_file", "recover"]

_HOMES = {
    "Damage": "scan",
    "RecoveryReport": "rebuild",
    "describe_file": "contents",
    "recover": "rebuild",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ringdaq.recorder' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ringdaq.recorder.{_HOMES[name]}"), name)
