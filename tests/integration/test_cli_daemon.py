"""The commands that use a daemon, against a real one."""

from __future__ import annotations

import json
import threading

import pytest
from click.testing import CliRunner

from ringdaq.cli.root import root

SCRIPT = """\
for i in range(parameters["points"]):
    stage.move_abs(i * 1.0)
    emit(x=stage.position())
print("done")
"""
ENDLESS = "while True:\n    sleep(0.01)\n"


@pytest.fixture
def daemon(start_daemon, monkeypatch):
    daemon = start_daemon(gateway=True)
    monkeypatch.setenv("RINGDAQ_STATE", str(daemon.state))
    return daemon


def ringdaq(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(root, [str(a) for a in arguments])
    assert result.exit_code == code, result.stderr
    return result.stdout


def data(*arguments: object) -> object:
    return json.loads(ringdaq(*arguments, "--json"))


def test_a_script_goes_from_upload_to_its_rows(daemon, tmp_path) -> None:
    script = tmp_path / "scan.py"
    script.write_text(SCRIPT)
    stored = data("client", "upload", script, "--meta", "who=me")
    assert [s["metadata"] for s in data("client", "scripts")] == [{"who": "me"}]
    run = ringdaq("client", "start", "scan.py", "-p", "points=4").strip()
    assert f"run {run} completed" in ringdaq("client", "watch", run)
    status = data("client", "status", run)
    assert status["script_id"] == stored["script_id"]
    assert status["output"] == "done\n"
    assert "state: completed" in ringdaq("client", "status", run)
    assert [r["run_id"] for r in data("client", "runs", "--state", "completed")] == [run]


def test_watch_ends_with_1_when_the_run_was_stopped(daemon, tmp_path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    ringdaq("client", "upload", script, "--name", "endless")
    run = data("client", "start", "endless")["run_id"]
    assert data("client", "stop", run)["run_id"] == run
    last = ringdaq("client", "watch", run, "--json", code=1).splitlines()[-1]
    assert json.loads(last)["state"] == "stopped"


def test_instruments_are_read_and_moved_here_and_over_the_network(daemon) -> None:
    address = daemon.card["grpc_address"]
    token = (daemon.state / "token").read_text().strip()
    ringdaq("move", "stage", "2.5")
    for remote in ([], ["--address", address, "--token", token]):
        found = data("read", "stage", *remote)
        assert found == {"instrument": "stage", "value": 2.5, "unit": "mm"}
        assert {"stage", "camera"} <= {i["name"] for i in data("instruments", *remote)}


def test_panic_ends_runs_and_says_of_each_instrument_that_it_is_safe(daemon, tmp_path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    ringdaq("client", "upload", script, "--name", "endless")
    run = data("client", "start", "endless")["run_id"]
    names = {i["name"] for i in data("instruments")}
    assert data("panic") == dict.fromkeys(names, "safe")
    ringdaq("client", "watch", run, code=1)
    assert data("queue", "list")["state"] == "paused"
    token = (daemon.state / "token").read_text().strip()
    remote = ["--address", daemon.card["grpc_address"], "--token", token]
    assert data("panic", *remote) == dict.fromkeys(names, "safe")


def test_values_come_live_through_the_ring_and_through_the_network(daemon) -> None:
    stop = threading.Event()

    def measure() -> None:
        control = daemon.control()
        call = {"instrument": "power_meter", "verb": "read", "args": [], "kwargs": {}}
        while not stop.wait(0.01):
            control.call("instruments.call", call)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        rows = ringdaq("tail", "power_meter", "-n", "3", "--json").splitlines()
        batch = json.loads(ringdaq("client", "stream", "power_meter", "-n", "1", "--json"))
    finally:
        stop.set()
        thread.join()
    assert [set(json.loads(row)) for row in rows] == [{"time", "value"}] * 3
    assert batch["power_meter.value"]["unit"] == "W"
    assert {s["name"] for s in data("streams")} >= {"stage", "power_meter", "camera"}


def test_refusals_have_their_exit_codes(daemon, tmp_path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("stage.move_to(1.0)")
    ringdaq("client", "upload", wrong, code=2)
    ringdaq("client", "info", "--token", "wrong", code=5)
    ringdaq("client", "info", "--address", "127.0.0.1:9", "--token", "x", code=3)
    ringdaq("client", "status", "no-such-run", code=2)
    ringdaq("move", "stage", "999", code=2)
    ringdaq("move", "stage", "nan", code=2)
    ringdaq("tail", "nothing", code=2)
