"""A daemon process runs scripts; whatever dies, instruments end safe and the status true."""

import os
import signal
import time

import pytest

from ringdaq.control import Channel, connect_socket
from ringdaq.errors import (
    GrantError,
    InstrumentBusyError,
    LimitError,
    ScriptRejectedError,
    UnknownInstrumentError,
)

SEEDS_SCAN = """\
for i in range(100):
    stage.move_abs(i * 0.1)
    camera.trigger()
    sleep(0.001)
"""


def until(condition, seconds=30.0):
    """Wait for a condition; a test that waits in vain fails here."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return result


def start(daemon, source, **more):
    control = daemon.control()
    script = control.call("scripts.upload", {"content": source, "name": "scan.py"})
    run = control.call("runs.start", {"script": script["script_id"], **more})
    return control, run["run_id"]


def end_of(control, run_id, timeout=60):
    return control.call("runs.wait", {"run_id": run_id, "timeout": timeout}, timeout=timeout + 5)


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False)


@pytest.fixture
def slow_daemon(start_daemon):
    return start_daemon(recorder=False, mode="realistic")


def test_the_plain_scan_runs_as_it_stands(daemon):
    status = daemon.run(SEEDS_SCAN)
    assert status["state"] == "completed", status["error"]
    assert status["progress_percent"] == 100
    assert status["instruments"] == ["camera", "stage"]
    streams = {s["name"]: s for s in daemon.control().call("streams.list")}
    assert streams["stage"]["statistics"]["rows"] == 100
    assert streams["camera"]["statistics"]["rows"] == 100


def test_line_and_progress_come_without_code_in_the_script(daemon):
    control, run_id = start(daemon, "for i in range(50):\n    x = i\n    sleep(0.05)\n")

    def half():
        status = control.call("runs.status", {"run_id": run_id})
        return status if (status["progress_percent"] or 0) >= 20 else None

    status = until(half)
    assert status["state"] == "running"
    assert status["current_line"] in (1, 2, 3)
    control.call("runs.stop", {"run_id": run_id})
    assert end_of(control, run_id)["state"] == "stopped"


@pytest.mark.parametrize(
    ("move", "words"),
    [
        ("stage.move_abs(50.01)", "within 0 to 50"),
        ("stage.move_abs(float('nan'))", "finite"),
        ("stage.move_abs(10 ** 400)", "must fit in 64 bits"),
        ("stage.move_rel(-1.0)", "within 0 to 50"),
    ],
)
def test_a_move_beyond_limits_fails_the_run_and_moves_nothing(daemon, move, words):
    status = daemon.run(f"x = 1\n{move}\n")
    assert status["state"] == "failed"
    assert words in status["error"]["message"]
    assert status["current_line"] == 2
    value = daemon.control().call("instruments.call", {"instrument": "stage", "verb": "position"})
    assert value["value"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("how", [{"args": [5.0]}, {"kwargs": {"seconds": 5.0}}])
def test_a_limit_holds_however_the_value_is_given(start_daemon, how):
    daemon = start_daemon(recorder=False, camera="limits = { exposure = [0.0, 1.0] }")
    control = daemon.control()
    request = {"instrument": "camera", "verb": "set_exposure", **how}
    before = control.call("instruments.call", {"instrument": "camera", "verb": "get_exposure"})
    with pytest.raises(LimitError, match="exposure must lie within 0 to 1 s"):
        control.call("instruments.call", request)
    after = control.call("instruments.call", {"instrument": "camera", "verb": "get_exposure"})
    assert after == before


def test_a_script_may_catch_a_refused_move_by_its_name(daemon):
    source = (
        "try:\n    stage.move_abs(99)\nexcept LimitError as error:\n    print('caught', error)\n"
    )
    status = daemon.run(source)
    assert status["state"] == "completed"
    assert status["output"].startswith("caught stage: position must lie within")


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("stage.positon()\n", ScriptRejectedError, "position"),
        ("laser.fire()\n", ScriptRejectedError, "laser"),
        ("import os\n", ScriptRejectedError, "os"),
        ("for\n", ScriptRejectedError, "line 1"),
    ],
)
def test_a_bad_script_is_refused_at_upload(daemon, source, error, words):
    with pytest.raises(error, match=words) as caught:
        daemon.control().call("scripts.upload", {"content": source, "name": "bad.py"})
    assert caught.value.line == 1


def test_instruments_outside_the_grant_are_refused_before_anything_moves(daemon):
    with pytest.raises((ScriptRejectedError, GrantError)):
        start(daemon, "stage.move_abs(1)\ncamera.trigger()\n", instruments=["stage"])
    with pytest.raises(UnknownInstrumentError, match="laser"):
        start(daemon, "sleep(0)\n", instruments=["laser"])


def test_two_runs_never_own_one_instrument(slow_daemon):
    control, run_id = start(slow_daemon, "stage.move_abs(40)\n")
    with pytest.raises(InstrumentBusyError, match=run_id):
        start(slow_daemon, "stage.move_abs(1)\n")
    with pytest.raises(InstrumentBusyError, match=run_id):
        control.call("instruments.call", {"instrument": "stage", "verb": "move_abs", "args": [1]})
    control.call("runs.stop", {"run_id": run_id})
    assert end_of(control, run_id)["state"] == "stopped"


def is_moving(control):
    before = control.call("instruments.call", {"instrument": "stage", "verb": "position"})["value"]
    after = control.call("instruments.call", {"instrument": "stage", "verb": "position"})["value"]
    return after != before


@pytest.mark.parametrize("force", [False, True])
def test_stopped_means_that_the_process_is_gone_and_the_stage_at_rest(slow_daemon, force):
    control, run_id = start(slow_daemon, "stage.move_abs(50)\nstage.move_abs(0)\n")
    until(lambda: is_moving(control))
    control.call("runs.stop", {"run_id": run_id, "force": force})
    status = end_of(control, run_id)
    assert status["state"] == "stopped"
    assert not is_moving(control)
    position = control.call("instruments.call", {"instrument": "stage", "verb": "position"})
    assert 0 < position["value"] < 50


def test_a_script_killed_in_mid_move_is_noticed_and_the_stage_comes_to_rest(slow_daemon):
    control, run_id = start(slow_daemon, "stage.move_abs(50)\n")
    until(lambda: is_moving(control))
    script = control.call("runs.status", {"run_id": run_id})["pid"]
    os.kill(script, signal.SIGKILL)
    status = end_of(control, run_id)
    assert status["state"] == "crashed"
    assert "SIGKILL" in status["error"]["message"]
    assert not is_moving(control)


def test_panic_reaches_the_stage_while_a_script_moves_it(slow_daemon):
    control, run_id = start(slow_daemon, "stage.move_abs(50)\n")
    until(lambda: is_moving(control))
    outcome = control.call("panic")
    assert outcome["instruments"]["stage"] == "safe"
    assert not is_moving(control)
    assert end_of(control, run_id)["state"] == "stopped"


def test_a_stop_overtakes_all_the_moves_that_wait(slow_daemon):
    channel = Channel(connect_socket(slow_daemon.card["control_socket"]))
    move = {"instrument": "stage", "verb": "move_abs", "args": [50]}
    for number in range(40):
        channel.send({"id": number, "method": "instruments.call", "params": move})
    # The daemon reads a peer's requests in order: with this answer, all of them have come in.
    channel.send({"id": 99, "method": "hello", "params": {"role": "test"}})
    while channel.receive()["id"] != 99:
        pass
    other = slow_daemon.control()
    until(lambda: is_moving(other))
    other.call("instruments.call", {"instrument": "stage", "verb": "stop"})
    assert other.call("panic")["instruments"]["stage"] == "safe"
    assert not is_moving(other)
    channel.close()


def test_emitted_rows_become_a_stream_of_the_run(daemon):
    source = "for i in range(5):\n    emit(signal=i * 1.5, ok=True)\nemit(note='done')\n"
    control, run_id = start(daemon, source)
    status = end_of(control, run_id)
    assert status["state"] == "completed", status["error"]


def test_every_command_is_audited_with_old_and_new_value(daemon):
    daemon.run("stage.move_abs(3)\nstage.move_abs(7)\n")
    entries = daemon.control().call("audit.list", {"limit": 50})
    moves = [e for e in entries if e["target"] == "stage.move_abs"]
    assert [(float(m["old"]), round(float(m["new"]), 3)) for m in moves[:1]] == [(3.0, 7.0)]
    assert moves[0]["who"].startswith("run ")


def test_a_retried_command_moves_once(daemon):
    control = daemon.control()
    request = {"instrument": "stage", "verb": "move_rel", "args": [5.0], "key": "once"}
    first = control.call("instruments.call", request)
    assert control.call("instruments.call", request) == first
    position = control.call("instruments.call", {"instrument": "stage", "verb": "position"})
    assert position["value"] == pytest.approx(5.0, abs=1e-3)
    refused = {**request, "args": [1000.0], "key": "too far"}
    for _ in range(2):
        with pytest.raises(LimitError, match="within 0 to 50"):
            control.call("instruments.call", refused)


def test_a_killed_daemon_leaves_interrupted_runs_and_starts_again(slow_daemon):
    control, run_id = start(slow_daemon, "stage.move_abs(50)\n")
    until(lambda: is_moving(control))
    slow_daemon.kill()
    slow_daemon.start()
    status = slow_daemon.control().call("runs.status", {"run_id": run_id})
    assert status["state"] == "interrupted"
    assert slow_daemon.run("sleep(0)\n")["state"] == "completed"


def test_a_second_daemon_names_the_first_ones_pid(daemon, tmp_path):
    from ringdaq.errors import ServiceError
    from ringdaq.testing.daemon import TemporaryDaemon

    second = TemporaryDaemon(daemon.rig, tmp_path)
    second.state = daemon.state
    with pytest.raises(ServiceError, match=rf"code 5:\n(.|\n)*pid {daemon.pid} owns this one"):
        second.start()
    assert daemon.card["pid"] == daemon.pid


def test_a_graceful_end_leaves_nothing_behind(start_daemon, ring_directory):
    daemon = start_daemon(recorder=False)
    _, run_id = start(daemon, "sleep(1000)\n")
    assert daemon.stop() == 0
    assert not (daemon.state / "daemon.json").exists()
    again = daemon.start()
    assert again.control().call("runs.status", {"run_id": run_id})["state"] == "stopped"
