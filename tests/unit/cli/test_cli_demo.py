"""The demo's own parts: its rig, its place for rings, its children."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ringdaq.cli.children import Children
from ringdaq.cli.demo_parts import choose_ring_directory
from ringdaq.cli.demo_rig import MIB, RINGS_BYTES, rig_text


def demo_rig(**changes) -> dict:
    given = {
        "ring_directory": Path("/dev/shm"),
        "data_directory": None,
        "esp300_port": "/dev/pts/7",
        "recording": None,
    }
    return tomllib.loads(rig_text(**{**given, **changes}))


def test_the_rig_says_what_is_made_up() -> None:
    for instrument in demo_rig()["instrument"]:
        assert instrument["simulated"] is True, instrument["name"]


def test_a_recording_is_replayed_and_its_path_survives_toml(tmp_path) -> None:
    path = tmp_path / 'a "strange" näme \\.edf'
    eeg = next(i for i in demo_rig(recording=path)["instrument"] if i["name"] == "eeg")
    assert eeg["driver"] == "replay.edf"
    assert eeg["options"]["file"] == str(path)
    assert "simulated" not in eeg


def test_the_rings_fit_into_64_mb() -> None:
    assert RINGS_BYTES < 64 * MIB * 3 // 4


def test_rings_go_to_shared_memory_where_there_is_room(tmp_path, capsys) -> None:
    shared = tmp_path / "shm"
    shared.mkdir()
    assert choose_ring_directory(tmp_path, shared) == shared
    assert str(shared) in capsys.readouterr().err


def test_without_shared_memory_the_demo_says_where_the_rings_are(tmp_path, capsys) -> None:
    missing = tmp_path / "missing"
    assert choose_ring_directory(tmp_path, missing) == tmp_path
    said = capsys.readouterr().err
    assert f"{missing} is missing" in said
    assert f"lie in {tmp_path} instead" in said


def test_children_end_with_the_context_also_when_it_fails() -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    started = []

    def fail() -> None:
        with Children() as children:
            started.extend([children.start(sleeper), children.start(sleeper)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(process.poll() is not None for process in started)


def test_a_deaf_child_is_killed() -> None:
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN);"
        "print(1, flush=True); time.sleep(600)"
    )
    with Children(patience_secs=0.2) as children:
        process = children.start([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
    assert process.returncode == -9


def test_a_child_whose_parent_has_gone_already_does_not_begin() -> None:
    begins = (
        "import os; from ringdaq.cli.children import _die_with;"
        "_die_with(os.getppid() + int({gone})); print('began')"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", begins.format(gone=gone)], capture_output=True, check=False
        ).stdout
        for gone in (False, True)
    ]
    assert said == [b"began\n", b""]
