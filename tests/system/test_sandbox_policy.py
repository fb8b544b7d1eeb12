"""The daemon says at its start what locks scripts up, and keeps to the rig's policy."""

from types import SimpleNamespace

import pytest

from ringdaq.errors import ScriptError
from ringdaq.scripts import sandbox
from ringdaq.scripts.sandbox import Sandbox

STRICT = '[scripts]\npolicy = "strict"\n'
SCRIPT = {"content": "print(1)", "name": "one.py", "metadata": {}}
START = {"parameters": {}, "instruments": [], "user": "test"}


def test_the_daemon_tells_and_runs_what_the_policy_allows(start_daemon) -> None:
    daemon = start_daemon(more=STRICT, recorder=False)
    found = sandbox.probe()
    assert f"{found}, policy=strict" in daemon.log.read_text()
    control = daemon.control()
    script = control.call("scripts.upload", SCRIPT)["script_id"]
    if found.missing:
        with pytest.raises(ScriptError, match="policy for scripts is 'strict'"):
            control.call("runs.start", {**START, "script": script})
        return
    run = control.call("runs.start", {**START, "script": script})["run_id"]
    end = control.call("runs.wait", {"run_id": run, "timeout": 30.0})
    assert end["state"] == "completed"


def test_a_strict_daemon_without_walls_refuses_before_anything_else(monkeypatch) -> None:
    from ringdaq.daemon.run_manager import RunManager

    monkeypatch.setattr(sandbox, "probe", lambda: Sandbox(0, None))
    manager = RunManager.__new__(RunManager)
    manager._rig = SimpleNamespace(scripts=SimpleNamespace(policy="strict"))
    with pytest.raises(ScriptError, match="lacks landlock"):
        manager.start("script", {}, None, "test")
