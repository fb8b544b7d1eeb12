"""No way out of the locked room, tried with the language filter off, as root and as nobody."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from escape_probes import PROBES
from open_python import ORDINARY_USER, OpenPython, make, works

from ringdaq.scripts import Limits, ScriptProcess, sandbox

BOTH, LANDLOCK, SECCOMP, NONE = "landlock+seccomp", "landlock", "seccomp", ""
HERE = [name for name, p in PROBES.items() if p.machine in ("", os.uname().machine)]


USERS = ["root", "user"] if os.getuid() == 0 else ["user"]
HERE_IT_LIES = Path(__file__).parent
FOUND = sandbox.probe()

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(FOUND.missing), reason=f"this kernel lacks {FOUND.missing}"),
]


@functools.cache
def python_for(user: str) -> OpenPython:
    """An interpreter that the user can run: this one, or a copy in the open."""
    own = OpenPython(Path(sys.executable), HERE_IT_LIES)
    if user == "root" or os.getuid() != 0 or works(own):
        return own
    directory = Path(tempfile.mkdtemp(prefix="ringdaq-open-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    python = make(directory)
    assert works(python), f"an ordinary user cannot run Python in {directory}"
    return python


@functools.cache
def reports(user: str, walls: str) -> dict[str, Any]:
    """How all probes end for this user behind these walls."""
    number = ORDINARY_USER if user == "user" and os.getuid() == 0 else os.getuid()
    python = python_for(user)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        done = subprocess.run(
            [python.executable, python.folder / "escape_stand.py", str(number), walls, directory],
            input=json.dumps(sorted(probes_for(walls))),
            stdout=subprocess.PIPE,
            env={**os.environ, **python.environment},
            text=True,
            timeout=500,
            check=True,
        )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def probes_for(walls: str) -> Collection[str]:
    if walls == NONE:
        return [name for name in HERE if PROBES[name].open_without]
    if walls == LANDLOCK:
        return [name for name in HERE if 0 < PROBES[name].landlock <= FOUND.landlock_abi]
    if walls == SECCOMP:
        return [name for name in HERE if PROBES[name].open_without or PROBES[name].landlock]
    return HERE


def test_there_are_enough_probes() -> None:
    assert len(HERE) >= 60


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", HERE)
def test_nothing_gets_through(name: str, user: str) -> None:
    state, message = reports(user, BOTH)["ends"][name]
    assert state != "completed", "it got through"
    assert PROBES[name].ends in message


@pytest.mark.parametrize("user", USERS)
def test_what_the_probes_aimed_at_is_as_it_was(user: str) -> None:
    assert reports(user, BOTH)["damage"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", probes_for(LANDLOCK))
def test_landlock_alone_stops_what_it_knows(name: str) -> None:
    state, message = reports("user", LANDLOCK)["ends"][name]
    assert state == "failed"
    assert "Error: " in message


@pytest.mark.slow
@pytest.mark.parametrize("name", probes_for(SECCOMP))
def test_the_filter_alone_stops_everything(name: str) -> None:
    state, _ = reports("user", SECCOMP)["ends"][name]
    assert state in ("failed", "crashed")


@pytest.mark.slow
@pytest.mark.parametrize("name", probes_for(NONE))
def test_without_walls_the_probe_gets_through(name: str) -> None:
    assert reports("user", NONE)["ends"][name] == ["completed", ""]


class Looker:
    """A daemon's side that looks at the process which asks it."""

    def __init__(self) -> None:
        self.process: ScriptProcess | None = None
        self.seen: dict[str, str] = {}

    def call(self, *request: Any) -> None:
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        self.seen = {name: value.strip() for name, _, value in (x.partition(":") for x in lines)}


@pytest.mark.parametrize(
    ("language", "source"), [("python", "stage.position()"), ("rhai", "stage.position();")]
)
def test_both_languages_run_behind_the_walls(language: Any, source: str) -> None:
    looker: Any = Looker()
    looker.process = ScriptProcess(
        source,
        name="look",
        parameters={},
        instruments={"stage": ["position"]},
        limits=Limits(),
        modules=(),
        host=looker,
        language=language,
    )
    looker.process.start()
    outcome = looker.process.wait(60.0)
    assert outcome.error is None
    seen = looker.seen
    assert (seen["Seccomp"], seen["NoNewPrivs"], seen["Threads"]) == ("2", "1", "1")
    assert int(seen["CapEff"], 16) == int(seen["CapPrm"], 16) == 0
    assert "0" not in seen["Uid"].split() + seen["Gid"].split()
