"""A script's process: what it can do, and what it has."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from process_stand import PATIENCE_SECS, Runner, blocking, ended, message, until

from ringdaq.errors import LimitError
from ringdaq.model import RunState
from ringdaq.scripts import Outcome


def test_verbs_reach_the_host_in_order_and_answers_come_back(runner: Runner) -> None:
    runner.host.answers["stage.position"] = lambda: 1.5
    outcome = runner.run(
        """
        camera.arm(mode="single")
        for i in range(3):
            stage.move_abs(i * 0.1)
            emit(position=stage.position(), ok=True, note="é", i=i, nothing=float("nan"))
        print("done", parameters["n"], sep="-")
        """,
        parameters={"n": 3},
    )
    assert outcome == Outcome(RunState.COMPLETED, None, 6)
    assert runner.host.calls[:3] == [
        ("camera", "arm", [], {"mode": "single"}),
        ("stage", "move_abs", [0.0], {}),
        ("stage", "position", [], {}),
    ]
    assert runner.host.rows[1].items() >= {"position": 1.5, "ok": True, "note": "é", "i": 1}.items()
    assert math.isnan(runner.host.rows[1]["nothing"])
    assert runner.host.text == "done-3\n"
    assert runner.started[0].output == "done-3\n"
    assert runner.started[0].progress_percent == 100.0


def test_errors_of_verbs_arrive_as_their_own_classes(runner: Runner) -> None:
    def refuse(position: float) -> None:
        raise LimitError(f"stage goes to 5 mm; found {position}", instrument="stage")

    runner.host.answers["stage.move_abs"] = refuse
    outcome = runner.run(
        """
        try:
            stage.move_abs(9)
        except LimitError as error:
            print(error, error.instrument)
        stage.move_abs(7)
        """
    )
    assert runner.host.text == "stage goes to 5 mm; found 9 stage\n"
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["class"] == "LimitError"
    assert outcome.line == 6


def test_a_failure_of_the_scripts_own_names_line_and_trace(runner: Runner) -> None:
    outcome = runner.run("def f(x):\n    return 1 / x\n\nf(0)\n")
    assert message(outcome) == "ZeroDivisionError: division by zero (line 2)"
    assert outcome.line == 2
    assert outcome.error is not None
    details: Any = outcome.error["details"]
    assert details["traceback"].splitlines() == [
        "  line 4, in <module>",
        "    f(0)",
        "  line 2, in f",
        "    return 1 / x",
        "ZeroDivisionError: division by zero",
    ]


def test_line_and_progress_are_known_during_a_verb(runner: Runner) -> None:
    seen: list[tuple[int, str, float | None]] = []

    def look(i: int) -> None:
        process = runner.started[0]
        seen.append((process.current_line, process.source_line, process.progress_percent))

    runner.host.answers["stage.move_abs"] = look
    release = threading.Event()
    runner.host.answers["camera.arm"] = lambda: release.wait(PATIENCE_SECS)
    process = runner.start("camera.arm()\nfor i in range(4):\n    stage.move_abs(\n        i)\n")
    release.set()
    ended(process)
    assert seen == [(3, "stage.move_abs(", percent) for percent in (0.0, 25.0, 50.0, 75.0)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("stage.move_abs(print)", "stage.move_abs takes numbers, text, lists and dictionaries"),
        ("stage.move_abs(10**400)", "stage.move_abs takes numbers"),
        ("stage.positon()", "the instrument 'stage' has no verb 'positon'; it has: move_abs"),
        ("stage.speed = 3", "cannot be written to"),
        ("emit(x=[1])", "emit 'x' takes a number, a truth value or a text; found 'list'"),
        ("emit(x=10**400)", "emit 'x': an integer must fit into 64 bits"),
        ("emit()", "emit takes at least one value"),
        ("emit(time=1)", "emit writes 'time' itself"),
        ("sleep(-1)", "sleep takes 0 seconds or more; found -1"),
        ("sleep(float('nan'))", "sleep takes 0 seconds or more"),
        ("sleep(10**400)", "takes numbers of up to 1024 bits; found a whole one of 1329 bits"),
        ("progress(1, 10**400)", "progress takes numbers of up to 1024 bits"),
        ("progress(3, 2)", "progress takes 0 <= done <= total"),
        ("import os", "scripts cannot import 'os'"),
        ("parameters['x'] = 1", "does not support item assignment"),
        ("open('/etc/passwd')", "name 'open' is not defined"),
        ("return 3", "'return' outside function"),
    ],
)
def test_misuse_is_told_at_its_line(runner: Runner, source: str, words: str) -> None:
    outcome = runner.run("\n" + source)
    assert outcome.state == RunState.FAILED
    assert words in message(outcome)
    assert outcome.line == 2
    assert runner.host.calls == []


def test_the_python_that_scripts_use_works_in_them(runner: Runner) -> None:
    outcome = runner.run(
        """
        from __future__ import annotations
        import collections.abc, functools, itertools, json, random, statistics
        from dataclasses import dataclass, field
        from datetime import datetime

        @dataclass
        class Point:
            x: float
            tags: list = field(default_factory=list)

        class Origin(Point):
            def __init__(self):
                super().__init__(0.0)

        @functools.lru_cache
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        def numbers():
            try:
                yield from range(3)
            finally:
                print("closed")

        for number in numbers():
            break
        print(Point(1.5), Origin().x, json.dumps({"a": [1, None]}), statistics.mean([1, 2]))
        print(datetime.strptime("2024-01-02", "%Y-%m-%d").year, fibonacci(50))
        print(isinstance([], collections.abc.Sequence), len(random.sample(range(9), 3)))
        print([n for n in itertools.islice(itertools.count(), 3)], f"{stage!r}")
        try:
            raise ExceptionGroup("several", [ValueError(1)])
        except* ValueError:
            print("group")
        match {"a": 1}:
            case {"a": x}:
                print("matched", x)
        """
    )
    assert outcome.error is None
    assert runner.host.text.splitlines() == [
        "closed",
        'Point(x=1.5, tags=[]) 0.0 {"a": [1, null]} 1.5',
        "2024 12586269025",
        "True 3",
        "[0, 1, 2] <instrument stage>",
        "group",
        "matched 1",
    ]


def test_numpy_works_where_the_rig_allows_it(runner: Runner) -> None:
    source = """
        import numpy as np
        a = np.linspace(0.0, 1.0, 3)
        stage.move_abs(a.mean())
        stage.move_abs(np.int64(3), a)
        emit(x=np.float32(0.5), n=np.int64(3), ok=np.bool_(True), p=np.linalg.norm(np.eye(3) @ a))
        """
    outcome = runner.run(source, modules=["numpy"])
    assert outcome.error is None
    assert [call[2] for call in runner.host.calls] == [[0.5], [3, [0.0, 0.5, 1.0]]]
    assert runner.host.rows == [{"x": 0.5, "n": 3, "ok": True, "p": pytest.approx(1.25**0.5)}]
    assert "cannot import 'numpy'" in message(runner.run(source))


def test_an_answer_that_no_script_can_take_is_an_error(runner: Runner) -> None:
    runner.host.answers["stage.position"] = object
    assert "cannot be sent to a script" in message(runner.run("stage.position()"))


def test_controls_in_output_are_made_visible(runner: Runner) -> None:
    runner.run("print('a\\x1b[31mb\\tc\\x00', '\\ud800')\nlog('x')")
    first, second = runner.host.text.splitlines()
    assert first == "a\\x1b[31mb\tc\\x00 \\ud800"
    assert second.startswith("[")
    assert second.endswith("] x")


def test_the_process_has_nothing_but_its_socket(runner: Runner) -> None:
    secret = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(secret, True)
    called, release = blocking(runner, "stage.position")
    process = runner.start("stage.position()")
    assert called.wait(PATIENCE_SECS)
    proc = Path(f"/proc/{process.pid}")
    targets = {int(p.name): os.readlink(p) for p in (proc / "fd").iterdir()}
    sockets = [fd for fd, target in targets.items() if target.startswith("socket:")]
    assert sorted(set(targets) - set(sockets)) == [0, 1, 2]
    assert len(sockets) == 1
    assert targets[0] == targets[1] == "/dev/null"
    assert (proc / "environ").read_bytes() == b""
    cwd = os.readlink(proc / "cwd")
    assert "ringdaq-run-" in cwd
    assert cwd.endswith(" (deleted)")
    assert os.getsid(process.pid) == process.pid
    status = (proc / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    limits = (proc / "limits").read_text()
    for name in ("Max core file size", "Max file size", "Max processes"):
        row = next(line for line in limits.splitlines() if line.startswith(name))
        assert row[len(name) :].split()[:2] == ["0", "0"]
    os.close(secret)
    release.set()
    assert ended(process).state == RunState.COMPLETED


def test_runs_leave_nothing_behind(runner: Runner, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runner.run("stage.position()")
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for source in ("stage.position()", "1 / 0", "while True: pass", "print('x' * 10**7)"):
        process = runner.start(source)
        ended(process)
        assert process.wait_idle(PATIENCE_SECS)
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)
    runner.started.clear()
    until(lambda: threading.active_count() <= threads)
    until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "setting", ["start_thread", "socketpair"], ids=["no room for a process", "no descriptors"]
)
def test_a_refused_start_is_told_and_leaves_nothing(
    setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ringdaq.errors import ScriptError
    from ringdaq.scripts import spawn

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = (spawn.subprocess, "Popen") if setting == "start_thread" else (spawn.socket, setting)
    monkeypatch.setattr(*target, refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ScriptError, match=r"cannot be started: .*Resource temporarily"):
        Runner().start("x = 1")
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.iterdir()) == []
