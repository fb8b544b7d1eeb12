"""No way out of the locked room, tried with the language filter off, as root and as nobody."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from escape_probes import PROBES

from ringdaq.scripts import sandbox

ORDINARY_USER = 54321
BOTH, LANDLOCK, SECCOMP, NONE = "landlock+seccomp", "landlock", "seccomp", ""
HERE = [name for name, p in PROBES.items() if p.machine in ("", os.uname().machine)]
USERS = ["root", "user"] if os.getuid() == 0 else ["user"]
STAND = Path(__file__).parent / "escape_stand.py"
FOUND = sandbox.probe()

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(FOUND.missing), reason=f"this kernel lacks {FOUND.missing}"),
]


@functools.cache
def reports(user: str, walls: str) -> dict[str, Any]:
    """How all probes end for this user behind these walls."""
    number = ORDINARY_USER if user == "user" and os.getuid() == 0 else os.getuid()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        done = subprocess.run(
            [
                sys.executable,
                Path(__file__).parent / "escape_stand.py",
                str(number),
                walls,
                directory,
            ],
            input=json.dumps(sorted(probes_for(walls))),
            stdout=subprocess.PIPE,
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
