"""How samples are kept: a journal and NeXus HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.recorder.inspect import describe_file
    from ringdaq.recorder.recover import RecoveryReport, recover
    from ringdaq.recorder.scan import Damage

__all__ = ["Damage", "RecoveryReport", "describe_file", "recover"]

_HOMES = {
    "Damage": "scan",
    "RecoveryReport": "recover",
    "describe_file": "inspect",
    "recover": "recover",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ringdaq.recorder' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ringdaq.recorder.{_HOMES[name]}"), name)
