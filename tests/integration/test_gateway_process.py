"""The gateway as a process: its ends, and a daemon that goes and comes back."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import grpc
import pytest
from fake_daemon import DEADLINE_SECS, TOKEN, FakeDaemon, GatewayProcess
from grpc_health.v1 import health_pb2, health_pb2_grpc

import ringdaq
from ringdaq import errors


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path)
    yield process
    process.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def health(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECS).status)


def test_a_daemon_that_goes_and_comes_back(gateway: GatewayProcess) -> None:
    with ringdaq.connect(gateway.address, TOKEN) as client:
        gateway.daemon.hang_up()
        wait_until(lambda: health(gateway.address) == health_pb2.HealthCheckResponse.NOT_SERVING)
        with pytest.raises(errors.DaemonUnreachableError, match="behind it"):
            client.info()
        gateway.daemon.listen()
        assert gateway.daemon.ready.wait(DEADLINE_SECS)
        assert gateway.daemon.address == gateway.address
        wait_until(lambda: health(gateway.address) == health_pb2.HealthCheckResponse.SERVING)
        assert client.info().rig == "demo"


def test_a_call_under_way_when_the_daemon_goes(gateway: GatewayProcess) -> None:
    def die(run_id: str) -> None:
        gateway.daemon.hang_up()

    gateway.daemon.methods["runs.status"] = die
    with (
        ringdaq.connect(gateway.address, TOKEN) as client,
        pytest.raises(errors.DaemonUnreachableError),
    ):
        client.status("r1")
    gateway.daemon.listen()


def test_a_gateway_that_is_slow_to_greet_is_waited_for(gateway: GatewayProcess) -> None:
    def ask() -> str:
        with ringdaq.connect(gateway.address, TOKEN) as client:
            return client.info().rig

    with ThreadPoolExecutor(1) as pool:
        gateway.process.send_signal(signal.SIGSTOP)
        try:
            asked = pool.submit(ask)
            assert not wait([asked], 0.5).done, asked.exception()
        finally:
            gateway.process.send_signal(signal.SIGCONT)
        assert asked.result(DEADLINE_SECS) == "demo"


def test_a_client_finds_a_gateway_again(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path)
    port = int(gateway.address.rpartition(":")[2])
    with ringdaq.connect(gateway.address, TOKEN) as client:
        gateway.process.kill()
        gateway.process.wait()
        with pytest.raises(errors.DaemonUnreachableError):
            client.info()
        gateway.daemon.ready.clear()
        gateway.process = subprocess.Popen(gateway.command(port))
        assert gateway.daemon.ready.wait(DEADLINE_SECS)

        def back() -> bool:
            try:
                return client.info().rig == "demo"
            except errors.DaemonUnreachableError:
                return False

        wait_until(back)
    gateway.close()


def test_terminate_ends_it_with_streams_open(gateway: GatewayProcess) -> None:
    with ringdaq.connect(gateway.address, TOKEN) as client:
        streams = [client.stream(), client.system()]
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(DEADLINE_SECS) == 0
        for stream in streams:
            with pytest.raises(errors.RingdaqError):
                list(stream)


def test_the_daemons_shutdown_ends_it(gateway: GatewayProcess) -> None:
    gateway.daemon.send_event("shutdown")
    assert gateway.process.wait(DEADLINE_SECS) == 0


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    rings = tmp_path / "rings"
    rings.mkdir()
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    daemon = FakeDaemon(tmp_path / "control.sock")
    command = [
        *(sys.executable, "-m", "ringdaq.gateway", "--port", "0", "--socket", str(daemon.path)),
        *("--token-file", str(token), "--rings", str(rings)),
    ]
    start = f"import subprocess, sys; print(subprocess.Popen({command!r}).pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        assert daemon.ready.wait(DEADLINE_SECS)
        parent.kill()
        assert select.select([handle], [], [], DEADLINE_SECS)[0], "the gateway lives on"
        os.close(handle)
    daemon.hang_up()


def test_a_port_in_use(tmp_path: Path) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    done = _run_gateway(tmp_path, port=port)
    taken.close()
    assert done.returncode == 4
    assert f"port {port} of 127.0.0.1 should be free" in done.stderr
    assert "grpc_port" in done.stderr


def test_two_gateways_never_share_a_port(gateway: GatewayProcess, tmp_path: Path) -> None:
    port = int(gateway.address.rpartition(":")[2])
    second = tmp_path / "second"
    second.mkdir()
    assert _run_gateway(second, port=port).returncode == 4


@pytest.mark.parametrize(
    ("mode", "token", "words"),
    [(0o644, TOKEN, "only its owner"), (0o600, "", "16 characters"), (0o600, None, "No such file")],
)
def test_a_token_that_is_none(tmp_path: Path, mode: int, token: str | None, words: str) -> None:
    done = _run_gateway(tmp_path, token=token, mode=mode)
    assert done.returncode == 5
    assert words in done.stderr


def _run_gateway(
    directory: Path, *, port: int = 0, token: str | None = TOKEN, mode: int = 0o600
) -> subprocess.CompletedProcess[str]:
    """A gateway that is expected to end by itself."""
    file = directory / "token"
    if token is not None:
        file.write_text(token)
        file.chmod(mode)
    command = [
        *(sys.executable, "-m", "ringdaq.gateway", "--socket", str(directory / "none.sock")),
        *("--port", str(port), "--token-file", str(file), "--rings", str(directory)),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_SECS, check=False
    )
