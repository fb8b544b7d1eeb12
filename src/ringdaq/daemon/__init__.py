"""The only place that knows everyone: composition, supervision, control socket, safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.daemon.begin import run_daemon
    from ringdaq.daemon.main import Daemon
    from ringdaq.daemon.state import StateDirectory, default_state_directory

__all__ = ["Daemon", "StateDirectory", "default_state_directory", "run_daemon"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    from importlib import import_module

    homes = {"Daemon": "main", "run_daemon": "begin"}
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes.get(name, 'state')}"), name)
