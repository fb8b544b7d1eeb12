"""Run Rhai scripts: the engine is in the core, its verbs and limits are those of Python's."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import ringdaq_core

from ringdaq.errors import ScriptFailedError, to_wire
from ringdaq.scripts import verbs
from ringdaq.scripts.language import PLANS, source_lines
from ringdaq.scripts.plan_verbs import PlanVerbs
from ringdaq.scripts.spent import (
    memory_spent,
    operations_spent,
    recursion_spent,
    total_operations_spent,
)
from ringdaq.scripts.suggest import suggestion

DEPTH = 250
"""How deep functions may call each other: the engine takes a lot of stack for each call."""
_MOST_FRAMES = 20
_CLOSURE = re.compile(r"anon\$[0-9a-f]+")
_NOT_FOUND = re.compile(r"Function not found: (\w+) \(instrument[,)]")

SyntaxFault = ringdaq_core.RhaiSyntaxError
facts = ringdaq_core.rhai_facts


def run(start: Mapping[str, Any], caller: verbs.Caller) -> None:
    """Run the script of a start message; raises what ends it."""
    host = _Host(start, caller)
    limits = start["limits"]
    entry = start["entry"] or {"values": {}}
    ended = ringdaq_core.run_rhai(
        start["source"] + _call_of_main(start["entry"]),
        parameters={**start["parameters"], **entry["values"]},
        instruments={
            name: (sorted(start["instruments"][name]), instrument)
            for name, instrument in host.instruments.items()
        },
        plans=[name for name in PLANS if name != "adaptive"],
        operations=limits["operations"],
        total_operations=limits["total_operations"],
        depth=DEPTH,
        words=caller.page.words,
        host=host,
    )
    if ended is None:
        return
    kind, what, line, column, trace = ended
    caller.meter.at(line or caller.meter.line)
    if kind == "host":
        assert isinstance(what, BaseException)
        raise what
    if kind == "limit":
        raise recursion_spent(DEPTH, line)
    words = _plainly(str(what), start["instruments"])
    _fail(words, line, column, _traceback(words, trace, start["source"]))


def _call_of_main(entry: Mapping[str, Any] | None) -> str:
    """What stands behind the script's last line."""
    if entry is None:
        return ""
    given = entry["instruments"]
    return f"\nmain({', '.join(given.get(p, f'parameters.{p}') for p in entry['order'])});"


def _plainly(what: str, instruments: Mapping[str, Collection[str]]) -> str:
    """What the engine says, and what was meant where an instrument has no such verb."""
    what = _CLOSURE.sub("<closure>", what)
    found = _NOT_FOUND.match(what)
    if found is None:
        return what
    if found[1] in PLANS:
        return f"{what}; {found[1]} takes 16 values and a map of options at most"
    verbs = {verb for granted in instruments.values() for verb in granted} - {found[1]}
    return what + suggestion(found[1], verbs)


def _fail(what: str, line: int, column: int, traceback: str) -> NoReturn:
    place = f" (line {line}, column {column})" if column else f" (line {line})"
    raise ScriptFailedError(what + place, line=line, traceback=traceback)


def _traceback(what: str, trace: list[tuple[int, str]], source: str) -> str:
    lines, found = source_lines(source), []
    own = [frame for frame in trace if frame[0] <= len(lines)]  # the call of main stands behind
    for line, function in own[-_MOST_FRAMES:]:
        text = lines[line - 1].strip() if line > 0 else ""
        found.append(f"  line {line}, in {function}\n    {text}")
    return "\n".join([*found, what])


class _Host:
    """What the engine asks for while it runs."""

    def __init__(self, start: Mapping[str, Any], caller: verbs.Caller) -> None:
        limits = start["limits"]
        self._caller, self._meter = caller, caller.meter
        self._operations: int = limits["operations"]
        self._total_operations: int = limits["total_operations"]
        self._memory_bytes: int = limits["memory_bytes"]
        speech = verbs.Speech(caller, limits["output_bytes"])
        self.instruments = {
            name: verbs.Instrument(name, granted, caller)
            for name, granted in start["instruments"].items()
        }
        self._plans = PlanVerbs(caller, verbs.name_of)
        self.sleep, self.emit, self.print = speech.sleep, speech.emit, speech.say
        self.log, self.progress = speech.log, speech.progress
        self.shield, self.unshield = self._meter.shield, self._meter.unshield
        self.look = self._meter.check

    def verb(
        self, instrument: str, verb: str, args: tuple[object, ...], named: dict[str, object]
    ) -> object:
        """Carry out a verb of a granted instrument."""
        return getattr(self.instruments[instrument], verb)(*args, **named)

    def plan(
        self,
        name: str,
        args: tuple[object, ...],
        named: dict[str, object],
        start: float,
        span: float,
    ) -> object:
        """Carry out a scan that has this part of the run."""
        progress = self._caller.progress
        progress.enter(start, span)
        try:
            return self._plans.verb(name)(*args, **named)
        finally:
            progress.leave()

    def operations_spent(self) -> NoReturn:
        """End the script: it computed too much between two verbs."""
        self._meter.exceed(operations_spent(self._operations, self._meter.line))

    def total_operations_spent(self) -> NoReturn:
        """End the script: it computed too much in all."""
        self._meter.exceed(total_operations_spent(self._total_operations, self._meter.line))

    def memory_spent(self) -> NoReturn:
        """End the script: an allocation failed."""
        self._meter.exceed(memory_spent(self._memory_bytes, self._meter.line))

    def memory_gone(self) -> NoReturn:
        """End the process: there is no memory left to end the script in good order."""
        meter = self._meter
        error = memory_spent(self._memory_bytes, meter.line)
        self._caller.tell("done", state="failed", error=to_wire(error), at=meter.line)
        os._exit(0)
