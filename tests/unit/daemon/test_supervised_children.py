"""Child processes that are started again: stopped while they start, and where none can start."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from run_stand import until

from ringdaq.daemon import supervisor
from ringdaq.daemon.supervisor import Child

if TYPE_CHECKING:
    import pytest

PATIENCE_SECS = 30.0


def process(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", code])


def test_a_stop_in_the_middle_of_a_start_leaves_no_process_behind() -> None:
    started: list[subprocess.Popen[bytes]] = []
    starting, go = threading.Event(), threading.Event()

    def spawn() -> subprocess.Popen[bytes]:
        if started:
            starting.set()
            assert go.wait(PATIENCE_SECS)
        started.append(process("import time; time.sleep(600)" if started else ""))
        return started[-1]

    child = Child("helper", (), spawn=spawn)
    child.start()
    assert starting.wait(PATIENCE_SECS)
    stop = threading.Thread(target=child.stop)
    stop.start()
    # With a stop that does not wait for it, this comes to its end, and the process stays.
    stop.join(0.2)
    go.set()
    stop.join(PATIENCE_SECS)
    until(lambda: len(started) == 2)
    until(lambda: started[1].poll() is not None)
    assert child.pid is None


def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_BACKOFF_SECS", 0.01)
    tries = []

    def spawn() -> subprocess.Popen[bytes]:
        tries.append(len(tries))
        if len(tries) == 2:
            raise BlockingIOError("no more processes")
        return process("import time; time.sleep(600)" if len(tries) > 1 else "")

    child = Child("helper", (), spawn=spawn)
    child.start()
    until(lambda: len(tries) == 3 and child.pid is not None)
    child.stop()
