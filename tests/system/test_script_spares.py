"""A process kept ready for the next script: taken, replaced, confined, and gone with its daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import alive

from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, ScriptProcess, spawn
from ringdaq.scripts.spares import Spares

PATIENCE_SECS = 30.0


class Host:
    def __init__(self) -> None:
        self.called, self.release = threading.Event(), threading.Event()

    def call(self, *request: Any) -> None:
        self.called.set()
        assert self.release.wait(PATIENCE_SECS)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


def of_status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


def ready(spares: Spares) -> int:
    """The pid of the spare, once it waits for its script."""
    until(lambda: spares._ready is not None)
    spare = spares._ready
    assert spare is not None
    # The private directory is removed first, and sleeping on the socket comes last.
    until(lambda: os.readlink(f"/proc/{spare.pid}/cwd").endswith(" (deleted)"))
    until(lambda: sleeps(spare.pid))
    return spare.pid


def sleeps(pid: int) -> bool:
    """Whether it has not been given the processor between two looks."""
    before = of_status(pid, "voluntary_ctxt_switches")
    threading.Event().wait(0.05)
    return of_status(pid, "State")[0] == "S" and before == of_status(pid, "voluntary_ctxt_switches")


def process(source: str, host: Any, spawner: Any, **more: Any) -> ScriptProcess:
    made = ScriptProcess(
        source,
        name="spare",
        parameters={},
        instruments={"stage": ["position"]},
        limits=Limits(),
        modules=DEFAULT_MODULES,
        host=host,
        spawner=spawner,
        **more,
    )
    made.start()
    return made


@pytest.fixture
def spares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spares]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    spares = Spares()
    spares.start()
    yield spares
    spares.close()
    assert threading.active_count() <= threads
    until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("language", "source"),
    [("python", "import math\nstage.position()"), ("rhai", "stage.position();")],
)
def test_a_run_takes_the_spare_and_it_is_confined_then(
    spares: Spares, language: str, source: str
) -> None:
    pid = ready(spares)
    assert of_status(pid, "NoNewPrivs") == "0"
    host = Host()
    run = process(source, host, spares.take, language=language)
    assert run.pid == pid
    assert host.called.wait(PATIENCE_SECS)
    assert of_status(pid, "NoNewPrivs") == "1"
    assert of_status(pid, "Seccomp") in ("0", "2")
    assert of_status(pid, "Uid").split()[0] == ("65534" if os.getuid() == 0 else str(os.getuid()))
    rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    memory = next(row for row in rows if row.startswith("Max address space"))
    assert memory.split()[3] == str(Limits().memory_bytes)
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    host.release.set()
    outcome = run.wait(PATIENCE_SECS)
    assert outcome is not None
    assert outcome.state == RunState.COMPLETED
    assert ready(spares) != pid


def test_a_spare_that_died_is_replaced(spares: Spares) -> None:
    pid = ready(spares)
    os.kill(pid, signal.SIGKILL)
    until(lambda: spares._ready is not None and spares._ready.pid != pid)
    assert not alive(pid)


def test_a_spare_that_died_unnoticed_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringdaq.scripts.spares.FIRST_PAUSE_SECS", 3600.0)
    spares = Spares()
    monkeypatch.setattr(spares, "_was_taken", lambda *_: threading.Event().wait(0.01))
    spares.start()
    pid = ready(spares)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    host = Host()
    host.release.set()
    run = process("stage.position()", host, spares.take)
    outcome = run.wait(PATIENCE_SECS)
    assert run.pid != pid
    assert outcome is not None
    assert outcome.state == RunState.COMPLETED
    spares.close()


def test_without_a_spare_a_process_is_started_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    spares = Spares()
    with monkeypatch.context() as patch:
        patch.setattr("ringdaq.scripts.spares.spawn", refuse)
        spares.start()
        with pytest.raises(OSError, match="Resource temporarily"):
            spares.take()
    host = Host()
    host.release.set()
    outcome = process("stage.position()", host, spares.take).wait(PATIENCE_SECS)
    assert outcome is not None
    assert outcome.state == RunState.COMPLETED
    spares.close()


KEEPER = """
import time
from ringdaq.scripts.spares import Spares
spares = Spares()
spares.start()
while spares._ready is None:
    time.sleep(0.01)
print(spares._ready.pid, flush=True)
time.sleep(1e6)
"""


def test_a_spare_dies_with_its_daemon_and_leaves_nothing(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", KEEPER],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until(lambda: list(tmp_path.iterdir()) == [])
    finally:
        parent.kill()
        parent.communicate()
    until(lambda: not alive(pid))


def test_a_spare_that_cannot_start_is_not_started_again_and_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spawn, "import_paths", list)
    monkeypatch.setattr("ringdaq.scripts.spares.FIRST_PAUSE_SECS", 3600.0)
    spares = Spares()
    spares.start()
    until(lambda: "has died" in caplog.text)
    assert "No module named 'ringdaq'" in caplog.text
    assert caplog.text.count("has died") == 1
    assert spares._ready is None
    spares.close()
