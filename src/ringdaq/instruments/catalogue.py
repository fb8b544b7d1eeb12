"""Which drivers there are, and whether a rig asks for them rightly."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from ringdaq.config import (
    InstrumentConfig,
    Problem,
    Rig,
    Section,
    nearest,
    problems_of,
    raise_problems,
)
from ringdaq.errors import ConfigError
from ringdaq.instruments.capabilities import LIMIT_QUANTITIES, capabilities_of
from ringdaq.instruments.driver import Driver

DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        "simulated.stage": "ringdaq.instruments.sim.stage:DRIVER",
        "simulated.camera": "ringdaq.instruments.sim.camera:DRIVER",
        "simulated.power_meter": "ringdaq.instruments.sim.power_meter:DRIVER",
        "simulated.eeg": "ringdaq.instruments.sim.eeg:DRIVER",
        "newport.esp300": "ringdaq.instruments.drivers.esp300:DRIVER",
        "ti.ads1299": "ringdaq.instruments.drivers.ads1299:DRIVER",
        "replay.edf": "ringdaq.instruments.drivers.edf_replay:DRIVER",
        "replay.recording": "ringdaq.recorder.replay:DRIVER",
    }
)
"""ringdaq's own drivers and where they are; a rig may name another as `package.module:NAME`."""


@dataclass(frozen=True)
class Choice:
    """A driver that a rig asks for, with its checked options."""

    driver: Driver
    options: Section


def find_driver(name: str) -> Driver:
    """The driver of that name; a `ConfigError` names the nearest."""
    place = DRIVERS.get(name, name)
    module, colon, attribute = place.partition(":")
    if not colon:
        raise ConfigError(
            f"no driver {name!r}; {nearest(name, DRIVERS)} One of your own is written as "
            f"'package.module:NAME'"
        )
    try:
        driver = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the driver {name!r} cannot be loaded: {error}") from error
    if not isinstance(driver, Driver):
        raise ConfigError(
            f"the driver {name!r} must be a ringdaq.instruments.Driver; "
            f"found a {type(driver).__name__}"
        )
    return driver


def check_rig(rig: Rig) -> dict[str, Choice]:
    """Check all that the drivers know of a rig; one `ConfigError` tells all that is wrong."""
    choices: dict[str, Choice] = {}
    problems: list[Problem] = []
    for index, config in enumerate(rig.instruments):
        choice, found = _check(rig, index, config)
        problems += found
        if choice is not None:
            choices[config.name] = choice
    raise_problems(problems, rig.path)
    return choices


def _check(rig: Rig, index: int, config: InstrumentConfig) -> tuple[Choice | None, list[Problem]]:
    at: tuple[str | int, ...] = ("instrument", index)
    try:
        driver = find_driver(config.driver)
    except ConfigError as error:
        return None, [rig.problem((*at, "driver"), f"instrument {config.name!r}: {error}")]
    found = [rig.problem((*at, *place), text) for place, text in _rules(config, driver)]
    try:
        options = driver.options.model_validate(config.options)
    except ValidationError as error:
        found += problems_of(error, driver.options, rig.lines, below=(*at, "options"))
        return None, found
    found += _check_follows(rig, at, config, options)
    return Choice(driver, options), found


def _rules(config: InstrumentConfig, driver: Driver) -> list[tuple[tuple[str, ...], str]]:
    """What is wrong between an instrument and its driver: where, and what."""
    found: list[tuple[tuple[str, ...], str]] = []
    who = f"instrument {config.name!r}"
    if driver.made_up is True and not config.simulated:
        found.append(
            (
                ("driver",),
                f"{who}: driver {config.driver!r} makes its values up; "
                f"write simulated = true to say that you want that",
            )
        )
    if driver.made_up is False and config.simulated:
        found.append(
            (
                ("simulated",),
                f"{who}: driver {config.driver!r} makes nothing up; leave simulated out",
            )
        )
    return found + _limit_rules(config, driver, who)


def _limit_rules(
    config: InstrumentConfig, driver: Driver, who: str
) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    capabilities = capabilities_of(driver.instrument)
    known = [q for c, q in LIMIT_QUANTITIES.items() if c in capabilities]
    for quantity in config.limits:
        if quantity not in known:
            hint = nearest(quantity, known)
            found.append(
                (("limits", quantity), f"{who}: nothing called {quantity!r} to limit; {hint}")
            )
    if "position" in known and "position" not in config.limits:
        found.append(
            (
                ("limits",) if config.limits else (),
                f"{who} moves, so it needs soft limits; write for example "
                f"limits = {{ position = [0.0, 50.0] }}",
            )
        )
    return found


def _check_follows(
    rig: Rig, at: tuple[str | int, ...], config: InstrumentConfig, options: Any
) -> list[Problem]:
    follows = getattr(options, "follows", None)
    others = [one.name for one in rig.instruments if one.name != config.name]
    if follows is None or follows in others:
        return []
    return [
        rig.problem(
            (*at, "options", "follows"),
            f"instrument {config.name!r}: options.follows: no other instrument {follows!r}; "
            f"{nearest(follows, others)}",
        )
    ]
