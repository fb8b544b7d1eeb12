"""Stages that users write in Python: finding them, and calling them with views."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ringdaq.config import nearest
from ringdaq.config.pipeline import OWN_KEYS
from ringdaq.pipeline.native import NativeStage
from ringdaq.pipeline.native_build import use_whole_vectors
from ringdaq.pipeline.parts import PacketFormat, RefusedError
from ringdaq.pipeline.views import EegDataView, EegDataViewMut

if TYPE_CHECKING:
    import ringdaq_core as core

log = logging.getLogger(__name__)

TAKEN = OWN_KEYS | {"file", "class", "module", "plugin"}
"""Keys of every plugin's stage, which no parameter may be called."""
GROUP = "ringdaq.stages"
"""The group of entry points by which packages offer stages."""


class Plugin(Protocol):
    """A stage in Python; its parameters are the keyword arguments of its `__init__`.

    A class with `process_inplace(view: EegDataViewMut) -> None` changes packets where they lie, and
    that is called in the place of `process`. One with `close()` is told of the pipeline's end.
    """

    name: str
    """What it is called."""
    description: str
    """What it does, in a sentence."""

    def process(self, view: EegDataView) -> Any:
        """Use a packet. It goes on as it is; or changed to what is returned, an array of its shape;
        or not at all, if False is returned.
        """


@cache
def installed() -> Mapping[str, EntryPoint]:
    """The stages that installed packages offer, by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_installed(name: str) -> Any:
    """What a package offers under a name."""
    if name not in installed():
        raise RefusedError(f"no installed plugin {name!r}; {nearest(name, installed())}", "plugin")
    return _imported(installed()[name].load, "plugin", name)


def load_module(place: str) -> Any:
    """What `package.module:Class` names."""
    module, colon, attribute = place.partition(":")
    if not colon:
        raise RefusedError(
            f"a module is written as 'package.module:Class'; found {place!r}", "module"
        )
    found = _imported(lambda: importlib.import_module(module), "module", place)
    return _attribute(found, attribute, "module")


def load_file(path: Path, wanted: str | None) -> Any:
    """The stage of a file: the one that is named, or the only one there."""
    if not path.is_file():
        raise RefusedError(f"there is no file {path.name!r}: {path}", "file")
    name = f"ringdaq_plugin_{path.stem}_{zlib.crc32(bytes(path)):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RefusedError(f"a plugin's file ends in .py; found {path.name!r}", "file")
    # Known by its name from now on, as pickle, dataclasses and Numba want it.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    loader = spec.loader
    if b"numba" in path.read_bytes():
        use_whole_vectors()
    _imported(lambda: loader.exec_module(module), "file", path.name)
    if wanted is not None:
        return _attribute(module, wanted, "class")
    found = {name: thing for name, thing in vars(module).items() if _is_stage(thing, module)}
    if len(found) != 1:
        raise RefusedError(
            f"write class, one of {', '.join(map(repr, sorted(found)))}"
            if found
            else f"{path.name!r} has no class with process() or process_inplace(), "
            f"and no native stage",
            "file",
        )
    return found.popitem()[1]


def _is_stage(thing: Any, module: Any) -> bool:
    own = isinstance(thing, NativeStage) or getattr(thing, "__module__", "") == module.__name__
    return own and (isinstance(thing, NativeStage) or _is_plugin(thing))


def _is_plugin(thing: Any) -> bool:
    methods = ("process", "process_inplace")
    return inspect.isclass(thing) and any(callable(getattr(thing, m, None)) for m in methods)


def _imported(load: Callable[[], Any], key: str, name: str) -> Any:
    try:
        return load()
    except Exception as error:
        raise RefusedError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}", key
        ) from error


def _attribute(module: Any, name: str, key: str) -> Any:
    if not hasattr(module, name):
        names = [n for n, thing in vars(module).items() if _is_stage(thing, module)]
        raise RefusedError(f"no {name!r} in {module.__name__}; {nearest(name, names)}", key)
    return getattr(module, name)


def make_plugin(found: Any, values: Mapping[str, Any]) -> Plugin:
    """An instance of a plugin's class, its parameters checked against its `__init__`."""
    if not _is_plugin(found):
        raise RefusedError(
            f"a plugin is a class with process() or process_inplace(); found {found!r}"
        )
    for attribute in ("name", "description"):
        if not isinstance(getattr(found, attribute, None), str):
            raise RefusedError(f"plugin {found.__name__!r} needs the text {attribute!r}")
    check_names(values, inspect.signature(found))
    try:
        made: Plugin = found(**values)
    except Exception as error:
        raise RefusedError(
            f"plugin {found.name!r} refuses its parameters: {type(error).__name__}: {error}"
        ) from error
    return made


def check_names(values: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Refuse parameters that a callable does not have, those that it misses, and names that the
    text has for something else.
    """
    there = signature.parameters.values()
    for name in TAKEN & signature.parameters.keys():
        raise RefusedError(
            f"its parameter {name!r} is a key of every such stage; let it have another name"
        )
    if not any(p.kind is p.VAR_KEYWORD for p in there):
        for name in values:
            if name not in signature.parameters:
                hint = nearest(name, signature.parameters)
                raise RefusedError(f"unknown key {name!r}; {hint}", name)
    for parameter in there:
        plain = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        needed = plain and parameter.default is parameter.empty
        if needed and parameter.name not in values:
            raise RefusedError(f"the key {parameter.name!r} is missing; write it here")


class PluginCall:
    """What the core calls with each packet, on the thread of its chain."""

    def __init__(self, make: Callable[[], Plugin], given: PacketFormat, *, anew: bool) -> None:
        self._make = make
        self._given = given
        self._anew = anew
        self._failed = False
        self._begin()

    def _begin(self) -> None:
        self._plugin = self._make()
        self._close: Callable[[], object] | None = getattr(self._plugin, "close", None)

    def __call__(self, packet: core.Packet) -> bool | None:
        """Call the plugin; False ends the packet."""
        if self._failed and self._anew:
            self.close()
            self._begin()
        self._failed = True
        goes_on = self._call(packet)
        self._failed = False
        return goes_on

    def close(self) -> None:
        """Let the plugin finish, where it has a `close`; what it raises is logged. Called once."""
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        except Exception:
            log.exception("plugin %r failed while it was closed", self._plugin.name)

    def _call(self, packet: core.Packet) -> bool | None:
        change = getattr(self._plugin, "process_inplace", None)
        if change is not None:
            return False if change(EegDataViewMut(packet, self._given)) is False else None
        made = self._plugin.process(EegDataView(packet, self._given))
        if made is None or isinstance(made, bool):
            return False if made is False else None
        _put(EegDataViewMut(packet, self._given).data, made)
        return None


def _put(data: Any, made: Any) -> None:
    if getattr(made, "shape", None) != data.shape:
        raise ValueError(
            f"process() must return None, False or an array of shape {data.shape}; "
            f"found {getattr(made, 'shape', type(made).__name__)}"
        )
    if not np.can_cast(made.dtype, data.dtype, "same_kind"):
        hint = "; put a to_voltage stage before it" if data.dtype.kind == "i" else ""
        raise ValueError(
            f"process() must return {data.dtype} here, as the packet has, or what becomes that "
            f"without a loss; found {made.dtype}{hint}"
        )
    if data.dtype.kind == "i" and not np.can_cast(made.dtype, data.dtype):
        _check_range(made, np.iinfo(data.dtype))
    data[...] = made


def _check_range(made: Any, room: Any) -> None:
    """Refuse whole numbers that would become others."""
    if made.size and not room.min <= made.min() <= made.max() <= room.max:
        raise ValueError(
            f"process() must return numbers from {room.min} to {room.max} here; found {made.min()} "
            f"to {made.max()}"
        )


class PluginSink:
    """A plugin on the control plane: it sees packets, and nothing follows it."""

    def __init__(self, plugin: Plugin) -> None:
        if not callable(getattr(plugin, "process", None)):
            raise RefusedError(
                f"packets are read-only on the control plane; plugin {plugin.name!r} has no "
                f"process() for them",
                "stage_type",
            )
        self._plugin = plugin
        self.take: Callable[[EegDataView], Any] = plugin.process
        """Let the plugin see a packet; a coroutine runs in the loop of all sinks."""

    def open(self, format: PacketFormat) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Let the plugin finish, where it has a `close`."""
        close = getattr(self._plugin, "close", None)
        if close is not None:
            close()
