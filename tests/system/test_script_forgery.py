"""A script's process that is not ours any more: what it forges is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ringdaq.model import RunState
from ringdaq.scripts import Limits, Outcome, ScriptProcess, spawn

PRELUDE = """
import socket, struct, sys, time
sys.path += sys.argv[4:]
import msgpack
sock = socket.socket(fileno=int(sys.argv[1]))

def send(message):
    body = msgpack.packb(message)
    sock.sendall(struct.pack("<I", len(body)) + body)

def receive():
    size = struct.unpack("<I", sock.recv(4, socket.MSG_WAITALL))[0]
    return msgpack.unpackb(sock.recv(size, socket.MSG_WAITALL))

receive()
"""


class Host:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.process: ScriptProcess | None = None

    def call(self, *request: Any) -> None:
        self.calls.append(request)

    def emit(self, values: Any) -> None:
        self.calls.append(values)

    def output(self, text: str, level: str, line: int) -> None:
        self.calls.append(text)

    def sleep(self, seconds: float) -> None:
        """Until the process is gone."""
        self.calls.append(seconds)
        assert self.process is not None
        self.process.wait(30.0)


def forge(
    code: str, monkeypatch: pytest.MonkeyPatch, *, stop: bool = False
) -> tuple[Outcome, Host]:
    monkeypatch.setattr(spawn, "_BOOT", PRELUDE + code)
    host = Host()
    process = ScriptProcess(
        "pass",
        name="forged",
        parameters={},
        instruments={"stage": ["position"]},
        limits=Limits(output_bytes=1000, stop_secs=0.2),
        modules=(),
        host=host,
    )
    host.process = process
    process.start()
    if stop:
        process.request_stop()
    outcome = process.wait(30.0)
    assert outcome is not None, "the forger was not ended"
    assert process.wait_idle(30.0)
    return outcome, host


@pytest.mark.parametrize(
    "code",
    [
        "sock.sendall(b'\\xff' * 100_000)",
        "sock.sendall(struct.pack('<I', 4) + b'\\xc1\\xc1\\xc1\\xc1')",
        "sock.sendall(struct.pack('<I', 1 << 31))",
        "sock.sendall(struct.pack('<I', 2000) + b'\\x91' * 2000)",
        "sock.sendall(struct.pack('<I', 0))",
        "send([1])",
        "send({})",
        "send({'event': 'nonsense'})",
        "send({'id': 1, 'method': 'nonsense', 'params': []})",
        "send({'id': 1, 'method': ['x'], 'params': []})",
        "send({'id': 1, 'method': 'verb', 'params': {}})",
        "send({'id': 1, 'method': 'verb', 'params': ['stage', 'position', [], {1: 2}]})",
        "send({'id': 1, 'method': 'verb', 'params': ['stage', 'position', 3, {}]})",
        "send({'id': 1, 'method': 'verb', 'params': [['stage'], 'position', [], {}]})",
        "send({'id': 1, 'method': 'sleep', 'params': [float('nan')]})",
        "send({'id': 1, 'method': 'sleep', 'params': ['x']})",
        "send({'id': 1, 'method': 'emit', 'params': [{'x': [1]}]})",
        "send({'id': 1, 'method': 'emit', 'params': [{1: 1}]})",
        "send({'event': 'output', 'data': 'text'})",
        "send({'event': 'output', 'data': b'x' * 1001})",
    ],
)
def test_nonsense_ends_the_process(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, host = forge(code + "\ntime.sleep(1e6)", monkeypatch)
    assert outcome.state == RunState.CRASHED
    assert outcome.error is not None
    assert "broke its protocol" in str(outcome.error["message"])
    assert host.calls == []


@pytest.mark.parametrize(
    "params", ["'laser', 'fire', [], {}", "'stage', 'make_unsafe', [], {}", "'', '', [], {}"]
)
def test_what_was_not_granted_is_refused_by_the_parent(
    params: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, host = forge(
        f"send({{'id': 1, 'method': 'verb', 'params': [{params}]}})\n"
        "send({'event': 'done', 'state': 'failed', 'error': receive()['error'], 'at': 1})",
        monkeypatch,
    )
    assert outcome.error is not None
    assert outcome.error["class"] == "GrantError"
    assert host.calls == []


@pytest.mark.parametrize(
    "done",
    [
        "{'event': 'done'}",
        "{'event': 'done', 'state': 'running', 'error': 3, 'at': -5}",
        "{'event': 'done', 'state': ['x'], 'error': {'class': [1], 'details': 3}, 'at': 1 << 60}",
    ],
)
def test_a_nonsensical_verdict_is_no_success(done: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _ = forge(f"send({done})", monkeypatch)
    assert outcome.state == RunState.FAILED
    assert outcome.line in (0, 1)


def test_one_who_ignores_the_stop_and_reads_no_answers_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = threading.active_count()
    outcome, host = forge(
        "while True: send({'id': 1, 'method': 'verb', 'params': ['stage', 'position', [], {}]})",
        monkeypatch,
        stop=True,
    )
    assert outcome.state == RunState.STOPPED
    assert host.calls == []
    assert threading.active_count() <= before + 1


def test_requests_that_a_dead_process_left_are_not_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome, host = forge(
        "import os\n"
        "send({'id': 1, 'method': 'sleep', 'params': [0.3]})\n"
        "for i in range(100):\n"
        "    send({'id': 1, 'method': 'verb', 'params': ['stage', 'position', [], {}]})\n"
        "os._exit(7)",
        monkeypatch,
    )
    assert outcome.state == RunState.CRASHED
    assert outcome.error is not None
    assert "ended with 7" in str(outcome.error["message"])
    assert [c for c in host.calls if isinstance(c, tuple)] == []
