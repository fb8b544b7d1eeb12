"""Fit a run's parameters and the rig's instruments to a script's entry point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringdaq.errors import GrantError, LimitError, MissingCapabilityError, ScriptRejectedError
from ringdaq.scripts import entry as python_entry
from ringdaq.scripts import rhai_entry
from ringdaq.scripts.languages import Language
from ringdaq.scripts.parameters import Entry, Parameter

_TYPES: dict[str, tuple[type[Any], ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
}
_BOUNDED = {
    "Movable": "position",
    "ExposureControl": "exposure",
    "WavelengthTunable": "wavelength",
}
"""As in `instruments.capabilities`, which this room's child must not load."""


@dataclass(frozen=True)
class Offer:
    """What the rig says of an instrument."""

    capabilities: Collection[str]
    unit: str = ""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    """What `main` is called with."""

    instruments: dict[str, str] = field(default_factory=dict)
    """The instrument's name, by parameter."""
    values: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    """Of the parameters that were not given."""
    order: list[str] = field(default_factory=list)
    """All parameters."""

    def to_dict(self) -> dict[str, Any]:
        """As it goes to the script's process."""
        return {"instruments": self.instruments, "values": self.values, "order": self.order}


def bind(
    text: str,
    given: Mapping[str, Any],
    offers: Mapping[str, Offer],
    granted: Collection[str] | None,
    language: Language = "python",
) -> Binding | None:
    """Fit the run's parameters to the script's entry point; `None` where it has none.

    `offers` has every instrument of the rig; `granted` are the instruments that the run was
    granted by name. Raises before anything moves: `ScriptRejectedError`,
    `MissingCapabilityError`, `LimitError` or `GrantError`, with the line in the message.
    """
    entry = _entry_of(text, language)
    if entry is None:
        return None
    _check_names(entry, given)
    binding = Binding(order=[p.name for p in entry.parameters])
    for parameter in entry.parameters:
        if parameter.is_instrument:
            binding.instruments[parameter.name] = _instrument(parameter, given, offers, granted)
        elif parameter.name in given:
            binding.values[parameter.name] = _value(parameter, given[parameter.name])
        elif parameter.required:
            kind = parameter.annotation or "value"
            raise parameter.refused(f"main needs {parameter.name!r}; start the run with a {kind}")
        else:
            binding.defaults[parameter.name] = parameter.default
    return binding


def asked_for(text: str, language: Language) -> str:
    """What the script's entry point asks for, in one line; `""` where it has none."""
    entry = _entry_of(text, language)
    return ", ".join(p.stated for p in entry.parameters) if entry else ""


def _entry_of(text: str, language: Language) -> Entry | None:
    return rhai_entry.entry_of(text) if language == "rhai" else python_entry.entry_of(text)


def _check_names(entry: Entry, given: Mapping[str, Any]) -> None:
    names = [p.name for p in entry.parameters]
    for name in given:
        if name not in names:
            raise ScriptRejectedError(
                f"line {entry.line}: main has no parameter {name!r}; "
                f"it has: {', '.join(names) or 'none'}",
                line=entry.line,
                column=entry.column,
            )


def _instrument(
    parameter: Parameter,
    given: Mapping[str, Any],
    offers: Mapping[str, Offer],
    granted: Collection[str] | None,
) -> str:
    name = _able(parameter, given.get(parameter.name, parameter.name), offers)
    if granted is not None and name not in granted:
        raise GrantError(
            f"line {parameter.line}: main needs {parameter.name!r}, and the run was not "
            f"granted the instrument {name!r}"
        )
    _check_unit(parameter, name, offers[name])
    _check_span(parameter, name, offers[name])
    return name


def _able(parameter: Parameter, name: object, offers: Mapping[str, Offer]) -> str:
    """The name, if it is that of an instrument with the capability."""
    able = sorted(n for n, offer in offers.items() if parameter.annotation in offer.capabilities)
    choice = f"{parameter.annotation} are: {', '.join(able) or 'none'}"
    if not isinstance(name, str) or name not in offers:
        raise parameter.refused(
            f"main needs {parameter.name!r}, and the rig has no instrument {name!r:.80}; start the "
            f"run with its name; {choice}"
        )
    if name not in able:
        raise MissingCapabilityError(
            f"line {parameter.line}, column {parameter.column}: main needs a "
            f"{parameter.annotation} as {parameter.name!r}; {name} is none; {choice}",
            instrument=name,
        )
    return name


def _check_unit(parameter: Parameter, name: str, offer: Offer) -> None:
    if parameter.unit and parameter.unit != offer.unit:
        raise parameter.refused(
            f"main needs {parameter.name!r} in {parameter.unit!r}; {name} counts in "
            f"{offer.unit!r}: give it another instrument, or write the script for that unit"
        )


def _check_span(parameter: Parameter, name: str, offer: Offer) -> None:
    if parameter.span is None:
        return
    quantity = _BOUNDED.get(parameter.annotation)
    if quantity is None:
        raise parameter.refused(f"a {parameter.annotation} has no bounds; leave the numbers out")
    low, high = offer.limits.get(quantity, (-float("inf"), float("inf")))
    if not low <= parameter.span[0] <= parameter.span[1] <= high:
        raise LimitError(
            f"line {parameter.line}, column {parameter.column}: main needs {parameter.name!r} from "
            f"{parameter.span[0]:g} to {parameter.span[1]:g}; {name} may go from {low:g} to "
            f"{high:g}".rstrip(),
            instrument=name,
        )


def _value(parameter: Parameter, value: Any) -> Any:
    wanted = _TYPES.get(parameter.annotation)
    if wanted is None:
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise parameter.refused(
            f"main's {parameter.name!r} must be a {parameter.annotation}; found {value!r:.80}"
        )
    return float(value) if wanted == (float, int) else value
