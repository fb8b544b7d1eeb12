"""Whether a script can run on a rig, and with what: language, entry point, grant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ringdaq.config import Rig, ScriptsConfig
from ringdaq.daemon.instruments import InstrumentHost
from ringdaq.errors import BadRequestError, NotConnectedError, UnknownInstrumentError
from ringdaq.scripts import (
    Binding,
    Language,
    Limits,
    Offer,
    bind,
    check_script,
    instruments_used,
    language_of,
)


def limits_of(asked: ScriptsConfig) -> Limits:
    """What the rig lets a run spend."""
    return Limits(
        operations=asked.operations,
        total_operations=asked.total_operations,
        verbs_per_sec=asked.verbs_per_sec,
        wall_secs=asked.wall_secs,
        memory_bytes=asked.memory_bytes,
        output_bytes=asked.output_bytes,
        stop_secs=asked.stop_secs,
    )


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what could not be kept with the run, naming the parameter."""
    if not isinstance(parameters, Mapping):
        raise BadRequestError(
            f"a run's parameters must be a map of values by name; found {parameters!r:.80}"
        )
    for name, value in parameters.items():
        for stranger in _strangers({name: value}):
            raise BadRequestError(
                f"the parameter {name!r:.80} must be of finite numbers, texts, truth values, None, "
                f"lists and maps with texts as keys; found {stranger!r:.80}"
            )


def _strangers(value: Any) -> Iterator[Any]:
    """What of a value JSON cannot keep."""
    if isinstance(value, Mapping):
        yield from (key for key in value if not isinstance(key, str))
        yield from _strangers([*value.values()])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strangers(one)
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        value is not None and not isinstance(value, str | int | float)
    ):
        yield value


@dataclass(frozen=True)
class Prepared:
    """A run that could start."""

    script: Mapping[str, Any]
    language: Language
    entry: Binding | None
    hosts: dict[str, InstrumentHost]
    """The instruments it may touch."""
    parameters: dict[str, Any]
    """Those that were given, and the defaults of the others."""


class Preparer:
    """Checks scripts against one set of instruments."""

    def __init__(self, rig: Rig, hosts: Mapping[str, InstrumentHost]) -> None:
        self._rig, self._hosts = rig, hosts

    def check(self, text: str, language: Language) -> None:
        """Raise `ScriptRejectedError` for what cannot work on the rig."""
        verbs = {name: frozenset(host.entry.verbs) for name, host in self._hosts.items()}
        self._check(text, verbs, language)

    def prepare(
        self,
        stored: Mapping[str, Any],
        parameters: Mapping[str, Any],
        instruments: list[str] | None,
    ) -> Prepared:
        """What a run of the stored script needs; raises if it cannot run."""
        check_parameters(parameters)
        source = stored["content"]
        language = language_of(stored["name"], stored["metadata"].get("language"))
        entry = bind(source, parameters, self._offers(), instruments, language)
        granted = self._grant(source, instruments, entry, language)
        defaults = entry.defaults if entry else {}
        check_parameters(defaults)
        return Prepared(stored, language, entry, granted, {**defaults, **parameters})

    def _offers(self) -> dict[str, Offer]:
        return {
            name: Offer(host.entry.capabilities, host.entry.unit, host.entry.limits)
            for name, host in self._hosts.items()
        }

    def _grant(
        self,
        source: str,
        instruments: list[str] | None,
        entry: Binding | None,
        language: Language,
    ) -> dict[str, InstrumentHost]:
        """The instruments a run may touch: those named, else those its script mentions."""
        if instruments is None:
            instruments = instruments_used(source, self._hosts, language)
            if entry is not None:
                used = set(instruments) - set(entry.instruments)
                instruments = sorted(used | set(entry.instruments.values()))
        granted = {name: self._host(name) for name in instruments}
        verbs = {name: frozenset(host.entry.verbs) for name, host in granted.items()}
        filled = entry.instruments.items() if entry is not None else ()
        self._check(source, verbs, language, {role: verbs[name] for role, name in filled})
        return granted

    def _check(
        self,
        text: str,
        verbs: Mapping[str, frozenset[str]],
        language: Language,
        roles: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        modules = self._rig.scripts.modules
        check_script(text, instruments=verbs, modules=modules, language=language, roles=roles)

    def _host(self, name: str) -> InstrumentHost:
        host = self._hosts.get(name)
        if host is None:
            raise UnknownInstrumentError(
                f"the rig has no instrument {name!r}; it has: {', '.join(sorted(self._hosts))}",
                instrument=name,
            )
        if host.entry.instrument is None:
            raise NotConnectedError(f"{name} is not connected: {host.entry.error}", instrument=name)
        return host
