"""A driver that hangs holds up its own caller, until the deadline, and nobody else."""

import time

import pytest

HANGS = """
[[instrument]]
name = "deaf"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
deadline_secs = 0.3
[instrument.options]
mode = "chaos"
faults = { rate = 0.0, fail_after = 2, kinds = ["timeout"], timeout_secs = 600.0 }
"""
TOLD = """\
print(deaf.position())
try:
    deaf.position()
except InstrumentTimeoutError as error:
    print(error)
    print(error.instrument)
try:
    deaf.move_abs(1.0)
except InstrumentTimeoutError as error:
    print(error)
power_meter.read()
print("goes on")
"""


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False, more=HANGS)


def start(daemon, source):
    control = daemon.control()
    script = control.call("scripts.upload", {"content": source, "name": "hang.py"})
    return control, control.call("runs.start", {"script": script["script_id"]})["run_id"]


def until(condition):
    deadline = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


def test_a_script_is_told_of_a_call_that_hangs_and_goes_on(daemon):
    status = daemon.run(TOLD, sealed=False)
    assert status["state"] == "completed", status["error"]
    first, late, name, refused, last = status["output"].splitlines()
    assert float(first) == 0.0
    assert "deaf.position should end within 0.3 s and has not" in late
    assert name == "deaf"
    assert "must wait: deaf.position has not come back" in refused
    assert last == "goes on"


def test_a_call_that_hangs_is_ended_by_a_stop(daemon):
    control, run_id = start(daemon, "deaf.position()\ndeaf.stop()\nwhile True: deaf.position()\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["current_line"] == 3)
    control.call("runs.stop", {"run_id": run_id})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30.0}, timeout=40)
    assert status["state"] in ("stopped", "failed")
    assert control.call("instruments.call", {"instrument": "deaf", "verb": "stop"})


def test_panic_and_status_are_answered_while_a_call_hangs(start_daemon):
    meter = HANGS.replace("stage", "power_meter").replace(
        "limits = { position = [0.0, 50.0] }\n", ""
    )
    daemon = start_daemon(recorder=False, more=meter.replace("0.3", "600.0").replace("= 2", "= 1"))
    control, run_id = start(daemon, "deaf.read()\nsleep(0.01)\ndeaf.read()\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["current_line"] == 3)
    assert control.call("system.status")["state"] == "running"
    outcome = control.call("panic", timeout=5.0)
    assert set(outcome["instruments"].values()) == {"safe"}
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30.0}, timeout=40)
    assert status["state"] == "stopped"
