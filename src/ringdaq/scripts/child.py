"""The script's own process.

Started by `process.py` with one end of a socketpair and nothing else;
imports little, because it must start fast.
"""

from __future__ import annotations

import ast
import builtins
import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType, FrameType, MappingProxyType
from typing import Any

from ringdaq.scripts import language, ticks, verbs
from ringdaq.scripts.confine import confine, die_with, free_reserve, leave_directory
from ringdaq.scripts.page import Page
from ringdaq.scripts.preload import preload
from ringdaq.scripts.progress import CountedEnumerate, CountedZip
from ringdaq.scripts.verdict import verdict
from ringdaq.scripts.wire import Wire


def main(descriptor: int, page_descriptor: int, parent: int) -> None:
    """Run the one script that comes over the socket, report its end, and vanish."""
    leave_directory()
    die_with(parent)
    _rehearse()
    wire = Wire(socket.socket(fileno=descriptor))
    page = Page(page_descriptor)
    start = wire.receive()
    if start is None:
        os._exit(1)
    unimportable = preload(start["modules"], start["source"])
    engine = _engine(start["language"])
    limits = start["limits"]
    confine(
        limits["memory_bytes"],
        cpu_secs=limits["wall_secs"] + limits["stop_secs"],
        parent=parent,
        keep=descriptor,
    )
    Run(wire, page, start, unimportable, engine).execute()
    os._exit(0)


def _rehearse() -> None:
    """Do once, with a text of our own, what is slow only the first time."""
    tree = ast.parse("for i in range(2):\n    stage.position()\n")
    compile(ticks.weave(tree, {"stage": ["position"]}), "rehearsal", "exec")


Engine = Callable[[Mapping[str, Any], verbs.Caller], None]


def _engine(language: str) -> Engine | None:
    """What runs scripts in a language other than Python."""
    if language == "rhai":
        from ringdaq.scripts import rhai

        return rhai.run
    return None


class Capability:
    """What `main` may say of an instrument: `Movable`, or `Movable["mm"]`."""

    def __class_getitem__(cls, _wanted: object) -> type[Capability]:
        return cls


class Run:
    """One script from its text to its verdict."""

    def __init__(
        self,
        wire: Wire,
        page: Page,
        start: Mapping[str, Any],
        unimportable: Mapping[str, Exception],
        engine: Engine | None,
    ) -> None:
        self._start = start
        self._engine = engine
        self._unimportable = unimportable
        self._file = str(start["name"])
        self._caller = verbs.Caller(wire, page, start["limits"], self._line_now)

    def execute(self) -> None:
        """Run the script and tell the parent how it ended."""
        error: BaseException | None = None
        try:
            if self._engine is not None:
                self._engine(self._start, self._caller)
            else:
                exec(self._compiled(), self._globals())
        except BaseException as caught:
            error = caught
        self._finish(error)

    def _compiled(self) -> CodeType:
        tree = ast.parse(self._start["source"], self._file)
        if self._start["entry"] is not None:
            ticks.call_main(tree)
        woven = ticks.weave(tree, self._start["instruments"])
        return compile(woven, self._file, "exec", dont_inherit=True)

    def _finish(self, error: BaseException | None) -> None:
        if isinstance(error, MemoryError):
            free_reserve()
        end = verdict(error, self._caller.meter, self._file, self._start)
        if end["state"] == "completed":
            self._caller.progress.state(1.0)
        self._caller.tell("done", **end)

    def _globals(self) -> dict[str, object]:
        meter, progress = self._caller.meter, self._caller.progress
        speech = verbs.Speech(self._caller, self._start["limits"]["output_bytes"])
        woven: dict[str, object] = {
            ticks.TICK: meter.tick,
            ticks.SHIELD: meter.shield,
            ticks.UNSHIELD: meter.unshield,
            ticks.HANDLE: meter.handle,
            ticks.UNHANDLE: meter.unhandle,
            ticks.EACH: progress.each,
            ticks.ENTER: progress.enter,
            ticks.LEAVE: progress.leave,
        }
        return {
            **dict.fromkeys(language.CAPABILITIES, Capability),
            "__name__": "__main__",
            "__file__": self._file,
            "__builtins__": _builtins(self._start["modules"], self._unimportable),
            "parameters": MappingProxyType(dict(self._start["parameters"])),
            **language.ERRORS,
            **(said := verbs.names(self._start["instruments"], self._caller, speech)),
            **woven,
            ticks.ENTRY: self._entry(said),
        }

    def _entry(self, names: Mapping[str, object]) -> dict[str, object]:
        """What `main` is called with."""
        entry = self._start["entry"] or {"instruments": {}, "values": {}}
        return {**{k: names[v] for k, v in entry["instruments"].items()}, **entry["values"]}

    def _line_now(self) -> int:
        """The line that the script's innermost frame is at."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return frame.f_lineno
            frame = frame.f_back
        return self._caller.meter.line


def _builtins(modules: Collection[str], unimportable: Mapping[str, Exception]) -> dict[str, object]:
    chosen = {name: getattr(builtins, name) for name in language.BUILTINS}
    chosen["enumerate"] = CountedEnumerate
    chosen["zip"] = CountedZip
    chosen["__import__"] = _importer(frozenset(modules), unimportable)
    return chosen


def _importer(
    modules: frozenset[str], unimportable: Mapping[str, Exception]
) -> Callable[..., object]:
    def import_allowed(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        # Modules written in C import too, in the script's name but with a list for `fromlist`:
        # `datetime.strptime` does, and numpy.
        of_script = not isinstance(fromlist, list)
        if of_script and (level or (name not in modules and name != "__future__")):
            raise ImportError(f"scripts cannot import {name!r}")
        if of_script and name in unimportable:
            raise unimportable[name]
        return __import__(name, globals, locals, fromlist or (), level)

    return import_allowed
