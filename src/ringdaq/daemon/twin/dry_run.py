"""One dry run, from a stored script to its report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ringdaq.config import Rig
from ringdaq.daemon.prepare import Prepared, Preparer, limits_of
from ringdaq.daemon.twin.counts import RUN
from ringdaq.daemon.twin.host import TwinHost
from ringdaq.daemon.twin.rig import Known, TwinRig
from ringdaq.errors import ScriptError, ScriptRejectedError, to_wire
from ringdaq.model import RunState
from ringdaq.scripts import Outcome, ScriptProcess, decode_source
from ringdaq.scripts.sandbox import require_walls
from ringdaq.scripts.spent import wall_spent

REAL_SECS = 60.0
"""How long a dry run may take itself."""
NO_THROTTLE = 1e9
Report = dict[str, Any]


class DryRun:
    """A script on the twin of a rig; nothing real is touched."""

    def __init__(self, rig: Rig, known: Mapping[str, Known]) -> None:
        self._rig = rig
        self._known = known

    def run(
        self,
        stored: Mapping[str, Any],
        parameters: Mapping[str, Any],
        instruments: list[str] | None,
    ) -> Report:
        """The report, as plain values; raises what keeps a run of the script from starting."""
        require_walls(self._rig.scripts.policy)
        twin = TwinRig(self._rig, self._known)
        try:
            preparer = Preparer(self._rig, twin.hosts)
            return self._run(twin, preparer.prepare(stored, parameters, instruments))
        finally:
            twin.close()

    def _run(self, twin: TwinRig, ready: Prepared) -> Report:
        limits = limits_of(self._rig.scripts)
        host = TwinHost(
            twin,
            ready.hosts,
            wall_secs=limits.wall_secs,
            line_now=lambda: process.current_line,
        )
        process = ScriptProcess(
            ready.script["content"],
            name=ready.script["name"],
            parameters=ready.parameters,
            instruments={name: frozenset(h.entry.verbs) for name, h in ready.hosts.items()},
            limits=replace(limits, wall_secs=REAL_SECS, verbs_per_sec=NO_THROTTLE),
            modules=tuple(self._rig.scripts.modules),
            host=host,
            entry=None if ready.entry is None else ready.entry.to_dict(),
            language=ready.language,
        )
        began = time.monotonic()
        _stage(ready)
        process.start()
        outcome = process.wait(None)
        assert outcome is not None
        process.wait_idle(limits.stop_secs)
        twin.after(twin.timer.now())
        error = _error_of(outcome, host, limits.wall_secs, twin.timer.now())
        streams = twin.counts.streams()
        return {
            "script_id": ready.script["script_id"],
            "script_name": ready.script["name"],
            "state": RunState.FAILED.value if error else outcome.state.value,
            "error": error,
            "line": outcome.line,
            "duration_secs": twin.timer.now(),
            "points": streams.get(RUN, {"rows": 0})["rows"],
            "verbs": host.verbs,
            "bytes": sum(stream["bytes"] for stream in streams.values()),
            "streams": streams,
            "violations": host.violations,
            "assumed": twin.assumed,
            "output": process.output,
            "took_secs": time.monotonic() - began,
        }


def _stage(ready: Prepared) -> None:
    """As a run does before its script begins."""
    for host in ready.hosts.values():
        host.prepare()


def _error_of(
    outcome: Outcome, host: TwinHost, wall_secs: float, virtual_secs: float
) -> dict[str, Any] | None:
    if host.overtime_line is not None:
        return to_wire(wall_spent(wall_secs, host.overtime_line))
    details: Any = (outcome.error or {}).get("details") or {}
    if details.get("limit") == "wall_secs":
        return to_wire(
            ScriptError(
                f"a dry run may take {REAL_SECS:g} s, in which the script came to {virtual_secs:g} "
                f"s of its own time, line {outcome.line}; divide it, or leave the dry run out"
            )
        )
    return outcome.error


def check_report(report: Report) -> Report:
    """The report, if the script came to its end; raises `ScriptRejectedError` with the hindrance.

    What the script caught itself does not count.
    """
    if report["state"] == RunState.COMPLETED:
        return report
    error = report["error"] or {"message": f"the script ended {report['state']}"}
    raise ScriptRejectedError(
        f"the dry run should complete; after {report['duration_secs']:.3g} s, at line "
        f"{report['line']}: {error['message']}",
        line=report["line"],
    )


def dry_run_file(
    rig: Rig, path: Path, parameters: Mapping[str, Any], instruments: list[str] | None = None
) -> Report:
    """Dry-run a script's file without any daemon."""
    text = decode_source(path.read_bytes())
    digest = hashlib.sha256(text.encode()).hexdigest()
    stored = {
        "script_id": digest[:16],
        "name": path.name,
        "content": text,
        "hash": digest,
        "metadata": {},
    }
    return DryRun(rig, {}).run(stored, parameters, instruments)
