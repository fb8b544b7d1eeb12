"""How a daemon's process begins and ends."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ringdaq.daemon.head_start import HeadStart
from ringdaq.daemon.state import StateDirectory

if TYPE_CHECKING:
    from ringdaq.config import Rig
    from ringdaq.daemon.main import Daemon


def run_daemon(
    path: Path,
    state_path: Path,
    *,
    change: Callable[[Rig], Rig] = lambda rig: rig,
    gateway: bool = True,
) -> None:
    """Run a daemon for a rig file until SIGTERM or SIGINT; `change` has the last word on the rig.

    Without `gateway`, the rig must not have one after the change.
    """
    with HeadStart(path, gateway=gateway) as children:
        from ringdaq.config import load_rig
        from ringdaq.daemon.main import Daemon

        rig, state = change(load_rig(path)), StateDirectory(state_path)
        # The interpreter hands the GIL over at most this late to a thread that an instrument woke.
        sys.setswitchinterval(0.0005)
        _serve(Daemon(rig, state, children))


def _serve(daemon: Daemon) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.request_stop())
    try:
        daemon.start()
        # What is there now stays: to look through it for garbage would hold everybody up for 40 ms.
        gc.collect()
        gc.freeze()
        sys.stderr.write(f"ready {os.getpid()} {daemon.state.card}\n")
        sys.stderr.flush()
        daemon.wait()
    finally:
        daemon.close()
