"""`ringdaq doctor` says what would stop this machine, and what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ringdaq.cli import checks
from ringdaq.cli.checks import Verdict
from ringdaq.scripts.sandbox import Sandbox


def test_every_check_looks_at_something_and_advises_where_it_is_not_well() -> None:
    for check in checks.all_checks(Path("/dev/shm")):
        assert check.found
        assert bool(check.advice) == (check.verdict is not Verdict.GOOD), check


def test_a_missing_ring_directory_stops(shell, tmp_path) -> None:
    result = shell("doctor", "--rings", tmp_path / "none", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    stopped = [c for c in report["checks"] if c["verdict"] == "stop"]
    assert "ring directory" in [c["name"] for c in stopped]
    assert str(tmp_path / "none") in json.dumps(stopped)


def test_little_shared_memory_is_a_warning_with_what_to_do(monkeypatch, tmp_path) -> None:
    small = os.statvfs_result((4096, 4096, 16384, 9000, 9000, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: small)
    check = checks.ring_space(tmp_path)
    assert check.verdict is Verdict.WARN
    assert "35 MiB of 64 MiB" in check.found
    assert "ring_directory" in check.advice


def test_a_missing_extra_is_named_with_its_pip_line(monkeypatch) -> None:
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda _name: None)
    check = checks.extra("edf")
    assert check.verdict is Verdict.WARN
    assert "pip install 'ringdaq[edf]'" in check.advice


def test_few_open_files_are_a_warning(monkeypatch) -> None:
    monkeypatch.setattr(checks.resource, "getrlimit", lambda _which: (256, 4096))
    assert checks.open_files().verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("has", "landlock", "seccomp"),
    [
        (Sandbox(0, "no filters"), (Verdict.WARN, "none"), (Verdict.WARN, "none: no filters")),
        (
            Sandbox(3, None),
            (Verdict.GOOD, "ABI 3: files, truncation; not TCP, devices, signals, Unix sockets"),
            (Verdict.GOOD, "available"),
        ),
    ],
)
def test_what_locks_scripts_up_and_what_the_kernel_lacks_is_told(
    monkeypatch, has, landlock, seccomp
) -> None:
    monkeypatch.setattr(checks.sandbox, "probe", lambda: has)
    found = [checks.landlock(), checks.seccomp()]
    assert [(c.verdict, c.found) for c in found] == [landlock, seccomp]
    assert all(bool(c.advice) == (c.verdict is Verdict.WARN) for c in found)


@pytest.mark.parametrize("name", checks.EXTRAS)
def test_the_extras_are_those_of_the_package(name) -> None:
    from importlib.metadata import requires

    wanted = [r for r in requires("ringdaq") or [] if f'extra == "{name}"' in r.replace("'", '"')]
    assert wanted
