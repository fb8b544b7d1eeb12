"""Verbs that come too quickly wait, and the run is told so, in every language."""

from __future__ import annotations

import time

from script_stand import Runner, both, ended, until

from ringdaq.model import RunState
from ringdaq.scripts.throttle import SLACK_SECS

RATE = 20.0
BURST = round(RATE * SLACK_SECS)
ENDLESS = both("while True: stage.position()", "loop { stage.position(); }")


def test_verbs_that_come_too_quickly_wait_and_it_is_said(runner: Runner) -> None:
    process = runner.start(ENDLESS, verbs_per_sec=RATE)
    began = time.monotonic()
    until(lambda: len(runner.bench.calls) >= BURST + 10)
    spent = time.monotonic() - began
    process.request_stop()
    outcome = ended(process)
    assert outcome.state == RunState.STOPPED
    assert spent >= 9 / RATE
    assert process.throttled_secs > 0.0
    assert runner.bench.text.count("a script may use 20 verbs a second") == 1
    assert "'verbs_per_sec' in the rig file (line 1)" in process.output
    assert runner.bench.levels == [("warning", 1)]


def test_a_throttled_script_stops_at_once(runner: Runner) -> None:
    process = runner.start(ENDLESS, verbs_per_sec=0.1)
    until(lambda: runner.bench.text)
    process.request_stop()
    assert ended(process).state == RunState.STOPPED


def test_a_short_scan_is_not_slowed(runner: Runner) -> None:
    process = runner.start(
        both(
            f"for i in range({BURST - 1}): stage.position()",
            f"for i in 0..{BURST - 1} {{ stage.position(); }}",
        ),
        verbs_per_sec=RATE,
    )
    assert ended(process).error is None
    assert process.throttled_secs == 0.0


def test_tidying_up_that_nobody_asked_for_is_throttled_too(runner: Runner) -> None:
    count = BURST + 10
    process = runner.start(
        both(
            f"try:\n    pass\nfinally:\n    for i in range({count}): stage.position()",
            f"for i in 0..{count} {{ stage.position(); }}",
        ),
        verbs_per_sec=RATE,
    )
    assert ended(process).error is None
    assert len(runner.bench.calls) == count
    assert process.throttled_secs > 0.0
