"""The process apart in which a daemon's dry runs go on: a request on stdin, a reply on stdout."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgpack

from ringdaq.config import parse_rig
from ringdaq.daemon.twin.dry_run import DryRun
from ringdaq.daemon.twin.rig import Known
from ringdaq.errors import RingdaqError, to_wire
from ringdaq.model import StreamSpec

_PR_SET_PDEATHSIG = 1
_NICENESS = 10
"""What is measured comes first."""


def main() -> None:
    """One dry run."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.nice(_NICENESS)
    request = msgpack.unpackb(sys.stdin.buffer.read(), strict_map_key=False)
    try:
        reply = {"report": _run(request), "error": None}
    except RingdaqError as error:
        reply = {"report": None, "error": to_wire(error)}
    sys.stdout.buffer.write(msgpack.packb(reply, default=str))


def _run(request: dict[str, Any]) -> dict[str, Any]:
    rig = parse_rig(request["rig"], Path(request["path"]))
    known = {
        name: Known(one["unit"], [StreamSpec.from_dict(spec) for spec in one["specs"]])
        for name, one in request["known"].items()
    }
    return DryRun(rig, known).run(request["script"], request["parameters"], request["instruments"])


main()
