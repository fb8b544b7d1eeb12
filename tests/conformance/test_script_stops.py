"""How scripts are stopped, in every language."""

from __future__ import annotations

import os
import signal

import pytest
from script_stand import PATIENCE_SECS, Runner, both, ended, until

from ringdaq.errors import (
    InstrumentFaultError,
)
from ringdaq.model import RunState
from ringdaq.scripts import (
    Outcome,
    ScriptProcess,
)


def stopped(runner: Runner, process: ScriptProcess) -> Outcome:
    assert runner.bench.called.wait(PATIENCE_SECS)
    process.request_stop()
    runner.bench.stopping.set()
    return ended(process)


STOPS = {
    "a sleep": both("sleep(1e6)", "sleep(1e6);"),
    "a loop of verbs": both(
        "while True:\n    stage.position()", "loop {\n    stage.position();\n}"
    ),
    "a loop of verbs that catches": both(
        "while True:\n    try:\n        stage.position()\n    except BaseException:\n        pass",
        "loop {\n    try {\n        stage.position();\n    } catch (e) { }\n}",
    ),
    "a computation": both(
        "stage.position()\nwhile True:\n    x = 1", "stage.position();\nloop {\n    let x = 1;\n}"
    ),
    "an empty loop": both("stage.position()\nwhile True: pass", "stage.position();\nloop {}"),
}


@pytest.mark.parametrize("scenario", STOPS)
def test_a_stop_ends(runner: Runner, scenario: str) -> None:
    process = runner.start(STOPS[scenario], operations=10**12)
    assert stopped(runner, process) == Outcome(RunState.STOPPED, None, process.current_line)
    count = len(runner.bench.calls)
    assert process.wait_idle(PATIENCE_SECS)
    assert len(runner.bench.calls) == count


def test_a_stop_lets_the_script_tidy_up(runner: Runner) -> None:
    process = runner.start(
        both(
            "try:\n    sleep(1e6)\n    camera.trigger()\nfinally:\n    stage.stop()\n"
            "    print('tidy')",
            "with_finally(|| {\n    sleep(1e6);\n    camera.trigger();\n}, || {\n"
            '    stage.stop();\n    print("tidy");\n});',
        )
    )
    outcome = stopped(runner, process)
    assert (outcome.state, outcome.error) == (RunState.STOPPED, None)
    assert runner.bench.calls == ["stage.stop()"]
    assert runner.bench.text == "tidy\n"


def test_a_stop_closes_the_shutter(runner: Runner) -> None:
    process = runner.start(
        both(
            "with shutter_open(lamp):\n    sleep(1e6)",
            "with_shutter_open(lamp, || sleep(1e6));",
        )
    )
    assert stopped(runner, process).state == RunState.STOPPED
    assert runner.bench.calls == ["lamp.open_shutter()", "lamp.close_shutter()"]


def test_an_error_while_tidying_up_is_told(runner: Runner) -> None:
    def fail() -> None:
        raise InstrumentFaultError("the stage is stuck", instrument="stage")

    runner.bench.answers["stop"] = fail
    outcome = runner.run(
        both(
            "try:\n    stage.position()\nfinally:\n    stage.stop()",
            "with_finally(|| stage.position(), || stage.stop());",
        )
    )
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["message"] == "the stage is stuck"


STEPS = both(
    "for i in range(9):\n    stage.move_abs(i)", "for i in 0..9 {\n    stage.move_abs(i);\n}"
)


def test_a_pause_holds_the_script_between_two_verbs(runner: Runner) -> None:
    calls = runner.bench.calls

    def pause() -> None:
        if len(calls) == 4:
            process.request_pause()

    runner.bench.answers["move_abs"] = pause
    process = runner.start(STEPS)
    until(lambda: process.paused)
    assert process.current_line == 2
    assert calls == [f"stage.move_abs({i})" for i in range(4)]
    process.resume()
    assert ended(process).state == RunState.COMPLETED
    assert calls == [f"stage.move_abs({i})" for i in range(9)]


def test_a_killed_process_is_noticed(runner: Runner) -> None:
    process = runner.start(both("sleep(1e6)", "sleep(1e6);"))
    assert runner.bench.called.wait(PATIENCE_SECS)
    os.kill(process.pid, signal.SIGKILL)
    outcome = ended(process)
    runner.bench.stopping.set()
    assert outcome.state == RunState.CRASHED
    assert outcome.error is not None
    assert "was killed by SIGKILL at line 1" in str(outcome.error["message"])
