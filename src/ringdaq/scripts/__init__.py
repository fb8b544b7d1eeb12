"""Who decides what happens: checked scripts in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.scripts.binding import Binding, Offer, asked_for, bind
    from ringdaq.scripts.check import check_script, decode_source, instruments_used
    from ringdaq.scripts.errands import ScriptHost
    from ringdaq.scripts.language import DEFAULT_MODULES
    from ringdaq.scripts.languages import LANGUAGES, Language, language_of
    from ringdaq.scripts.limits import Limits
    from ringdaq.scripts.outcome import Outcome
    from ringdaq.scripts.plan_control import PlanControl
    from ringdaq.scripts.process import ScriptProcess

__all__ = [
    "Binding",
    "DEFAULT_MODULES",
    "LANGUAGES",
    "Language",
    "Limits",
    "Offer",
    "Outcome",
    "PlanControl",
    "ScriptHost",
    "ScriptProcess",
    "asked_for",
    "bind",
    "check_script",
    "decode_source",
    "instruments_used",
    "language_of",
]

_HOMES = {
    "Binding": "binding",
    "Offer": "binding",
    "asked_for": "binding",
    "bind": "binding",
    "DEFAULT_MODULES": "language",
    "LANGUAGES": "languages",
    "Language": "languages",
    "Limits": "limits",
    "Outcome": "outcome",
    "PlanControl": "plan_control",
    "ScriptHost": "errands",
    "ScriptProcess": "process",
    "check_script": "check",
    "decode_source": "check",
    "instruments_used": "check",
    "language_of": "languages",
}


def __getattr__(name: str) -> object:
    # Lazy, because the script's own process passes through this door and must start fast.
    if name not in _HOMES:
        raise AttributeError(f"module 'ringdaq.scripts' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ringdaq.scripts.{_HOMES[name]}"), name)
