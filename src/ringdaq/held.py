"""A process that is started before anybody knows what to tell it, and imports meanwhile."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence

HELD = "--held"
"""The only argument of such a process; the others come as one line on its stdin."""


def arguments_of(warm_up: Callable[[], object]) -> list[str] | None:
    """This process's arguments; a held one warms up and waits for them.

    `None` if whoever held it is gone.
    """
    if sys.argv[1:] != [HELD]:
        return sys.argv[1:]
    warm_up()
    line = sys.stdin.readline()
    told: list[str] | None = json.loads(line) if line.endswith("\n") else None
    return told


def tell(process: subprocess.Popen[bytes], arguments: Sequence[str]) -> None:
    """Let a held process begin; nothing happens if it is gone."""
    if process.stdin is None or process.stdin.closed:
        return
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
    let_go(process)


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Close the way to a process, if there is one."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
