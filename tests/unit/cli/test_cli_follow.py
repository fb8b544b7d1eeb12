"""A run is followed to its end and to its finished file; Ctrl-C stops it, a second one kills it."""

from __future__ import annotations

import signal
import threading

import pytest
from canned_daemon import serving

from ringdaq.cli.follow import Output, exit_code_of, follow, report
from ringdaq.cli.local import find_daemon
from ringdaq.cli.progress import Quiet

DONE = {"produced_rows": 3, "durable_rows": 3, "gap_rows": 0, "gap_records": 0, "gaps": 0}


def status(state: str, recording: str = "recording", **more) -> dict:
    return {
        "run_id": "r1",
        "state": state,
        "progress_percent": 50.0,
        "current_line": 2,
        "output": "",
        "error": None,
        "recording": {"file": "/f.h5", "state": recording, "streams": {"stage": DONE}},
        **more,
    }


def follow_with(state, answers) -> tuple[dict, str]:
    written: list[str] = []
    with serving(state, answers):
        control = find_daemon().connect()
        try:
            final = follow(control, "r1", Quiet(), Output(written.append))
        finally:
            control.close()
    return final, "".join(written)


def test_it_waits_for_the_end_and_then_for_the_file(state) -> None:
    steps = [
        status("running", output="a\n"),
        status("completed", output="a\nb\n"),
        status("completed", "waiting", output="a\nb\n"),
        status("completed", "sealed", output="a\nb\n"),
    ]
    final, output = follow_with(state, {"runs.wait": lambda _: steps.pop(0)})
    assert final["recording"]["state"] == "sealed"
    assert output == "a\nb\n"
    assert steps == []


def test_ctrl_c_stops_and_a_second_one_kills(state) -> None:
    before = signal.getsignal(signal.SIGINT)
    stops: list[bool] = []

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def wait(_params):
        if len(stops) < 2:
            interrupt()
            return status("running")
        return status("stopped", "sealed")

    def stop(params):
        stops.append(params["force"])
        return {"state": "stopping"}

    final, _ = follow_with(state, {"runs.wait": wait, "runs.stop": stop})
    assert stops == [False, True]
    assert final["state"] == "stopped"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (status("completed", "sealed"), 0),
        (status("completed", "failed"), 1),
        (status("completed", "recording"), 1),
        (status("failed", "sealed"), 1),
        (status("stopped", "sealed"), 1),
        ({**status("completed"), "recording": None}, 0),
    ],
)
def test_only_a_completed_run_with_a_whole_file_is_a_success(found, code) -> None:
    assert exit_code_of(found) == code


def test_the_report_names_the_error_the_file_and_the_rows(capsys) -> None:
    error = {"class": "LimitError", "message": "too far", "details": {}}
    report(status("failed", "sealed", error=error))
    said = capsys.readouterr()
    assert said.err == "run r1 failed at line 2: too far\n"
    assert said.out == "file: /f.h5\nstream  rows  gaps\nstage   3     0\n"
