"""One clock for all processes of a boot, which never goes back."""

import os
import subprocess
import sys
import threading
import time

import pytest

from ringdaq import clock


@pytest.fixture
def anchor_file(tmp_path, monkeypatch):
    path = tmp_path / "anchor"
    monkeypatch.setattr(clock, "anchor_path", lambda: path)
    clock.boot_anchor.cache_clear()
    yield path
    clock.boot_anchor.cache_clear()


def test_time_is_wall_time_and_goes_forward():
    stamps = [clock.now_nanos() for _ in range(1000)]
    assert stamps == sorted(stamps)
    assert abs(stamps[-1] - time.time_ns() + clock.wall_step_nanos()) < 10**9


def test_processes_share_one_anchor():
    code = "from ringdaq.clock import boot_anchor; print(boot_anchor())"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(3)
    }
    assert told == {f"{clock.boot_anchor()}\n"}


def test_many_who_come_first_at_once_agree(anchor_file):
    found, together = [], threading.Barrier(16)

    def ask():
        together.wait()
        found.append(clock.boot_anchor.__wrapped__())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert os.listdir(anchor_file.parent) == [anchor_file.name]
    assert anchor_file.stat().st_mode & 0o777 == 0o600


def test_a_planted_link_is_not_followed(anchor_file, tmp_path):
    (tmp_path / "elsewhere").write_text("1")
    anchor_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        clock.boot_anchor()
