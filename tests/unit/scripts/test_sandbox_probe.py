"""What a machine lacks is told, and refused where the rig says so."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence

import pytest

from ringdaq.errors import ScriptError
from ringdaq.scripts import landlock, sandbox
from ringdaq.scripts.sandbox import Sandbox, require_walls


def test_the_line_of_a_machine_that_has_it_all() -> None:
    found = Sandbox(landlock_abi=9, seccomp_lacking=None)
    assert found.missing == []
    assert str(found) == (
        "sandbox: landlock abi=9 (files, truncation, TCP, devices, signals, Unix sockets), "
        "seccomp=yes"
    )


def test_what_an_older_landlock_leaves_to_the_filter_is_told() -> None:
    said = str(Sandbox(landlock_abi=6, seccomp_lacking=None))
    assert "(files, truncation, TCP, devices, signals; not Unix sockets)" in said


def test_the_line_of_a_machine_that_has_nothing() -> None:
    found = Sandbox(landlock_abi=0, seccomp_lacking="no table of system calls for 'riscv64'")
    assert str(found) == (
        "sandbox: landlock none, seccomp=none (no table of system calls for 'riscv64')"
    )
    assert len(found.missing) == 2


@pytest.mark.parametrize(
    ("found", "words"),
    [(Sandbox(0, None), "lacks landlock"), (Sandbox(7, "why"), r"lacks seccomp \(why\)")],
)
def test_strict_refuses_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, found: Sandbox, words: str
) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: found)
    require_walls("best-effort")
    with pytest.raises(ScriptError, match=words):
        require_walls("strict")


def test_strict_runs_where_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda: Sandbox(1, None))
    require_walls("strict")


@pytest.mark.parametrize("version", range(1, landlock.abi() + 1))
def test_an_older_landlock_closes_what_it_knows(version: int) -> None:
    done = in_a_process(
        f"""
        from ringdaq.scripts import confine, landlock, seccomp
        landlock.abi = lambda: {version}
        seccomp.lacking = lambda: "switched off"
        confine.seal()
        try:
            open("/etc/passwd")
        except PermissionError:
            print("closed")
        """
    )
    assert done.stdout == "closed\n", done.stderr


def test_walls_that_do_not_hold_are_noticed() -> None:
    done = in_a_process(
        """
        from ringdaq.scripts import confine, landlock, seccomp
        landlock.abi = lambda: 1
        landlock.restrict = lambda version: None
        seccomp.lacking = lambda: "switched off"
        confine.seal()
        """
    )
    assert "took the restrictions of a script and does not enforce them" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root has them to give up")
@pytest.mark.parametrize("status", ["CapEff", "CapPrm", "CapInh", "CapAmb"])
def test_no_capability_is_left(status: str) -> None:
    done = in_a_process(
        """
        from ringdaq.scripts import confine
        confine._become_nobody()
        print(open("/proc/self/status").read())
        """
    )
    lines = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert lines[status] == "0" * 16
    assert set(lines["Uid"].split()) == set(lines["Gid"].split()) == {"65534"}
    assert lines["Groups"].strip() == ""


def in_a_process(code: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
