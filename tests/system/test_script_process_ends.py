"""How a script's process ends: limits, stops, crashes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from process_stand import PATIENCE_SECS, Runner, blocking, ended, limit_of, message, until
from processes import alive

from ringdaq.errors import InstrumentFaultError
from ringdaq.model import RunState
from ringdaq.scripts import Outcome


@pytest.mark.parametrize(
    ("source", "limit", "line"),
    [
        ("x = 1\nwhile True: pass", "operations", 2),
        ("def f(): f()\nf()", "recursion", 1),
        ("x = []\nx = [0] * (1 << 27)", "memory_bytes", 2),
        ("x = ''\nx = '#' * 10**9", "memory_bytes", 2),
        ("while True:\n    print('#' * 10_000, end='')", "output_bytes", 2),
        ("print('#' * 10**8)", "output_bytes", 1),
    ],
)
def test_each_limit_names_itself_and_the_line(
    runner: Runner, source: str, limit: str, line: int
) -> None:
    assert limit_of(runner.run(source)) == (limit, line)
    assert len(runner.host.text) in (0, 1 << 20)
    assert len(runner.started[0].output) <= 1 << 16


def test_a_verb_starts_the_budget_anew(runner: Runner) -> None:
    outcome = runner.run(
        "for _ in range(50):\n    for _ in range(90): pass\n    stage.position()", operations=100
    )
    assert outcome.state == RunState.COMPLETED


def test_a_call_into_c_that_never_ticks_ends_at_the_wall_limit(runner: Runner) -> None:
    outcome = runner.run("x = 1\nsum(range(10**15))", wall_secs=0.3, stop_secs=0.1)
    assert limit_of(outcome) == ("wall_secs", 2)


def test_the_wall_limit_lets_finally_run(runner: Runner) -> None:
    outcome = runner.run("try:\n    sleep(1e6)\nfinally:\n    stage.stop()", wall_secs=0.3)
    assert limit_of(outcome) == ("wall_secs", 2)
    assert runner.host.calls == [("stage", "stop", [], {})]


def test_a_used_up_budget_lets_finally_run(runner: Runner) -> None:
    outcome = runner.run(
        "try:\n    while True: pass\nexcept Exception:\n    print('no')\nfinally:\n    stage.stop()"
    )
    assert limit_of(outcome) == ("operations", 2)
    assert runner.host.calls == [("stage", "stop", [], {})]
    assert runner.host.text == ""


def test_a_stop_ends_the_pending_verb_and_finally_may_command(runner: Runner) -> None:
    called, release = blocking(runner, "stage.move_abs")
    process = runner.start(
        """
        try:
            stage.move_abs(1)
            camera.trigger()
        except Exception:
            camera.trigger()
        finally:
            sleep(0.01)
            stage.stop()
            print("tidy")
        """
    )
    assert called.wait(PATIENCE_SECS)
    process.request_stop()
    release.set()
    assert ended(process) == Outcome(RunState.STOPPED, None, 3)
    assert [verb for _, verb, _, _ in runner.host.calls] == ["move_abs", "stop"]
    assert runner.host.text == "tidy\n"


def test_a_stop_ends_a_sleep(runner: Runner) -> None:
    process = runner.start("stage.position()\nsleep(1e6)")
    until(lambda: process.current_line == 2)
    runner.host.stop.set()
    process.request_stop()
    assert ended(process) == Outcome(RunState.STOPPED, None, 2)


def test_a_stop_reaches_a_long_computation(runner: Runner) -> None:
    process = runner.start("while True:\n    x = 1", operations=10**12)
    until(lambda: process.current_line == 2)
    process.request_stop()
    assert ended(process).state == RunState.STOPPED


def test_no_verb_is_carried_out_after_a_stop(runner: Runner) -> None:
    process = runner.start("while True:\n    stage.position()")
    until(lambda: runner.host.calls)
    process.request_stop()
    assert ended(process).state == RunState.STOPPED
    count = len(runner.host.calls)
    assert process.wait_idle(PATIENCE_SECS)
    assert len(runner.host.calls) == count


def test_a_swallowed_stop_does_not_keep_the_stage_moving(runner: Runner) -> None:
    process = runner.start(
        """
        while True:
            try:
                stage.move_abs(1)
            except BaseException:
                pass
        """
    )
    until(lambda: runner.host.calls)
    process.request_stop()
    assert ended(process) == Outcome(RunState.STOPPED, None, 3)


def test_tidying_up_has_a_deadline(runner: Runner) -> None:
    process = runner.start(
        """
        try:
            sleep(1e6)
        finally:
            while True:
                stage.move_abs(1)
        """,
        stop_secs=0.3,
    )
    until(lambda: process.current_line == 3)
    runner.host.stop.set()
    process.request_stop()
    outcome = ended(process)
    assert outcome.state == RunState.STOPPED
    assert "did not end within 0.3 s of the stop and was killed" in message(outcome)
    assert runner.host.calls


def test_an_error_while_tidying_up_is_told(runner: Runner) -> None:
    def fail() -> None:
        raise InstrumentFaultError("the stage is stuck", instrument="stage")

    runner.host.answers["stage.stop"] = fail
    process = runner.start("try:\n    sleep(1e6)\nfinally:\n    stage.stop()")
    until(lambda: process.current_line == 2)
    runner.host.stop.set()
    process.request_stop()
    outcome = ended(process)
    assert outcome.state == RunState.STOPPED
    assert message(outcome) == "the stage is stuck"


def test_a_stop_before_the_script_has_begun_counts(runner: Runner) -> None:
    process = runner.start("stage.position()")
    process.request_stop()
    assert ended(process).state in (RunState.STOPPED, RunState.COMPLETED)


def test_force_kills_a_script_that_hangs_in_c(runner: Runner) -> None:
    process = runner.start("stage.position()\nsum(range(10**15))")
    until(lambda: process.current_line == 2)
    process.kill()
    assert ended(process) == Outcome(RunState.STOPPED, None, 2)


def test_a_kill_in_the_middle_of_a_verb_is_noticed_at_once(runner: Runner) -> None:
    called, release = blocking(runner, "stage.move_abs")
    process = runner.start("x = 1\nstage.move_abs(1)")
    assert called.wait(PATIENCE_SECS)
    os.kill(process.pid, signal.SIGKILL)
    outcome = ended(process)  # although the host is still busy with the verb
    assert outcome.state == RunState.CRASHED
    assert message(outcome) == "the script's process was killed by SIGKILL at line 2"
    assert not process.wait_idle(0)
    release.set()
    assert process.wait_idle(PATIENCE_SECS)


def test_a_process_that_cannot_start_python_says_so(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringdaq.scripts import spawn

    monkeypatch.setattr(spawn, "import_paths", list)
    outcome = runner.run("x = 1")
    assert outcome.state == RunState.CRASHED
    assert "ended with 1 at line 0: \"ModuleNotFoundError: No module named 'ringdaq'" in message(
        outcome
    )


def test_a_daemon_side_that_fails_ends_the_run(runner: Runner) -> None:
    def full(text: str, level: str, line: int) -> None:
        raise OSError("no space")

    runner.host.output = full  # type: ignore[method-assign]
    outcome = runner.run("print(1)\nsleep(1e6)")
    assert outcome.state == RunState.FAILED
    assert "the daemon could not serve the script: OSError: no space" in message(outcome)


PARENT = """
import sys, time
from ringdaq.scripts import DEFAULT_MODULES, Limits, ScriptProcess

class Host:
    def sleep(self, seconds):
        print(process.pid, flush=True)
        time.sleep(float(sys.argv[2]))

process = ScriptProcess(sys.argv[1], name="x", parameters={}, instruments={}, host=Host(),
    limits=Limits(operations=10**12), modules=DEFAULT_MODULES)
process.start()
process.wait(None)
"""


@pytest.mark.parametrize(
    ("source", "hold_secs"), [("sleep(0.1)", 1e6), ("sleep(0.001)\nsum(range(10**15))", 0)]
)
def test_a_script_dies_with_its_daemon(source: str, hold_secs: float) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, source, str(hold_secs)], stdout=subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.communicate()
    until(lambda: not alive(pid))


def test_a_kill_before_the_process_is_there_counts(runner: Runner) -> None:
    process = runner.ready("stage.position()\nsleep(1e6)")
    process.kill()
    process.start()
    assert ended(process) == Outcome(RunState.STOPPED, None, 0)
    assert runner.host.calls == []
