"""Where a client finds the daemon and its token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringdaq.client.address import find_endpoint, state_directory
from ringdaq.errors import AuthenticationError, DaemonUnreachableError


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RINGDAQ_STATE", str(tmp_path))
    (tmp_path / "token").write_text("the-token\n")
    write_card(tmp_path)
    return tmp_path


def write_card(state: Path, address: str = "127.0.0.1:4000") -> None:
    card = {"pid": 12, "grpc_address": address, "token_file": str(state / "token")}
    (state / "daemon.json").write_text(json.dumps(card))


def test_the_local_daemon(state: Path) -> None:
    found = find_endpoint()
    assert (found.address, found.token) == ("127.0.0.1:4000", "the-token")


def test_the_token_does_not_show(state: Path) -> None:
    assert "the-token" not in repr(find_endpoint())


def test_what_is_given_counts(state: Path) -> None:
    found = find_endpoint("lab:1", "t")
    assert (found.address, found.token) == ("lab:1", "t")
    assert find_endpoint(token="t").address == "127.0.0.1:4000"
    assert find_endpoint("127.0.0.1:4000").token == "the-token"


def test_the_local_token_is_not_sent_elsewhere(state: Path) -> None:
    with pytest.raises(AuthenticationError, match="give its token"):
        find_endpoint("evil:50051")


def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGDAQ_STATE", str(tmp_path))
    with pytest.raises(DaemonUnreachableError, match=r"ringdaq daemon.*daemon\.json"):
        find_endpoint()
    assert find_endpoint("a:1", "t").token == "t"


def test_a_daemon_without_a_gateway(state: Path) -> None:
    write_card(state, address="")
    with pytest.raises(DaemonUnreachableError, match="gateway = true"):
        find_endpoint()


def test_a_token_that_cannot_be_read(state: Path) -> None:
    (state / "token").unlink()
    with pytest.raises(AuthenticationError, match="No such file"):
        find_endpoint()


def test_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RINGDAQ_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory() == tmp_path / "ringdaq"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory() == tmp_path / ".local" / "state" / "ringdaq"
