"""Forks of a process with clients: their calls say why they cannot work; none hangs."""

from __future__ import annotations

import os
import select
import warnings
from collections.abc import Callable, Iterator

import pytest
from fake_daemon import DEADLINE_SECS, TOKEN, GatewayProcess

import ringdaq
from ringdaq.errors import ServiceError


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    yield process
    process.close()


def words_of_a_fork(act: Callable[[], object]) -> str:
    """What it gives, or the error it raises, in a forked process."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's own, that a fork of threads is no good idea
        pid = os.fork()
    if pid == 0:
        try:
            said = str(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    handle = os.pidfd_open(pid)
    try:
        over = select.select([handle], [], [], DEADLINE_SECS)[0]
        if not over:
            os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert over, "the fork hangs"
        return os.read(reading, 1 << 16).decode()
    finally:
        for fd in (reading, writing, handle):
            os.close(fd)


def test_calls_of_a_fork_are_refused_once_its_parent_has_connected(
    gateway: GatewayProcess,
) -> None:
    def connect_anew() -> str:
        with ringdaq.connect(gateway.address, TOKEN) as other:
            return other.info().rig

    with ringdaq.connect(gateway.address, TOKEN) as client, client.stream() as batches:
        for act in (client.info, connect_anew, client.system, lambda: next(batches)):
            said = words_of_a_fork(act)
            assert said.startswith(ServiceError.__name__), said
            assert "'spawn'" in said
        assert client.info().rig == "demo"
    assert "'spawn'" in words_of_a_fork(connect_anew)
