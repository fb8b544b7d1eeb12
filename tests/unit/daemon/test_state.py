"""A state directory has one daemon, and others find it there."""

import json
import os
import subprocess
import sys

import pytest

from ringdaq.daemon.state import StateDirectory, private_directory
from ringdaq.errors import ConfigError, DaemonRunningError


def test_a_second_daemon_is_told_the_first_ones_pid(tmp_path):
    first = StateDirectory(tmp_path / "state")
    with pytest.raises(DaemonRunningError, match=f"pid {os.getpid()} owns this one") as caught:
        StateDirectory(tmp_path / "state")
    assert caught.value.pid == os.getpid()
    first.release()
    StateDirectory(tmp_path / "state").release()


def test_a_killed_daemons_lock_is_free_and_its_card_is_gone(tmp_path):
    code = (
        "import os, signal, pathlib; from ringdaq.daemon.state import StateDirectory;"
        f"s = StateDirectory(pathlib.Path({str(tmp_path)!r}) / 'state'); s.publish(a=1);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert (tmp_path / "state" / "daemon.json").exists()
    state = StateDirectory(tmp_path / "state")
    assert not state.card.exists()
    state.release()


def test_token_and_card_are_for_this_user_only(tmp_path):
    state = StateDirectory(tmp_path / "state")
    token = state.token()
    assert len(token) >= 32
    assert state.token() == token
    state.publish(control_socket="/s")
    card = json.loads(state.card.read_text())
    assert card["pid"] == os.getpid()
    assert card["control_socket"] == "/s"
    for file in (state.card, state.token_file):
        assert file.stat().st_mode & 0o777 == 0o600
    assert state.path.stat().st_mode & 0o777 == 0o700
    state.release()


def test_a_long_path_gets_a_socket_that_the_kernel_takes(tmp_path):
    state = StateDirectory(tmp_path / ("d" * 60) / ("e" * 60))
    path = state.socket_path()
    assert len(os.fsencode(path)) < 108
    state.release()
    assert not path.parent.exists()


def test_a_link_is_no_private_directory(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="no link"):
        private_directory(tmp_path / "link")
