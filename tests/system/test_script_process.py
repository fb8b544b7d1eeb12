"""Scripts in real processes: verbs, limits, stops, crashes, and what they may touch."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ringdaq.errors import InstrumentFaultError, LimitError, ScriptStoppedError
from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, Outcome, ScriptProcess

VERBS = {"stage": ["move_abs", "position", "stop"], "camera": ["arm", "trigger"]}
PATIENCE_SECS = 30.0


class Host:
    """A daemon's side that notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[Any], dict[str, Any]]] = []
        self.rows: list[dict[str, Any]] = []
        self.text = ""
        self.stop = threading.Event()
        self.answers: dict[str, Callable[..., Any]] = {}

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.calls.append((instrument, verb, args, kwargs))
        answer = self.answers.get(f"{instrument}.{verb}")
        return answer(*args, **kwargs) if answer else None

    def emit(self, values: dict[str, Any]) -> None:
        self.rows.append(values)

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise ScriptStoppedError("stopped while it slept")


class Runner:
    """Starts scripts and ends those that a failed test left."""

    def __init__(self) -> None:
        self.host = Host()
        self.started: list[ScriptProcess] = []

    def start(
        self,
        source: str,
        *,
        parameters: dict[str, Any] | None = None,
        modules: Sequence[str] = DEFAULT_MODULES,
        **limits: Any,
    ) -> ScriptProcess:
        process = ScriptProcess(
            textwrap.dedent(source),
            name="test.py",
            parameters=parameters or {},
            instruments=VERBS,
            limits=Limits(**limits),
            modules=modules,
            host=self.host,
        )
        process.start()
        self.started.append(process)
        return process

    def run(self, source: str, **options: Any) -> Outcome:
        return ended(self.start(source, **options))


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    for process in runner.started:
        process.kill()
        assert process.wait(PATIENCE_SECS)


def ended(process: ScriptProcess) -> Outcome:
    outcome = process.wait(PATIENCE_SECS)
    assert outcome is not None, "the script did not end"
    return outcome


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.002)


def message(outcome: Outcome) -> str:
    assert outcome.error is not None
    return str(outcome.error["message"])


def limit_of(outcome: Outcome) -> tuple[str, int]:
    assert outcome.state == RunState.FAILED
    assert outcome.error is not None
    assert outcome.error["class"] == "ScriptLimitError"
    details: Any = outcome.error["details"]
    assert f"line {details['line']}" in message(outcome)
    return details["limit"], details["line"]


# --- what a script can do


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


# --- limits


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


# --- stopping


def blocking(runner: Runner, verb: str) -> tuple[threading.Event, threading.Event]:
    """Make a verb wait; returns "it was called" and "let it go"."""
    called, release = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        called.set()
        release.wait(PATIENCE_SECS)

    runner.host.answers[verb] = wait
    return called, release


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


# --- crashes


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


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- the room


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
