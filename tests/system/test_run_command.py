"""`ringdaq run`: a script on a rig without a daemon, its exit codes, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import h5py
import pytest
from process_stand import until

from ringdaq.cli.local import LocalDaemon
from ringdaq.cli.private import PrivateDaemon
from ringdaq.errors import BusyError, DaemonUnreachableError

RUN = [sys.executable, "-P", "-m", "ringdaq.cli", "run"]
RIG = """\
[rig]
name = "small"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 5.0] }
options = { mode = "instant" }
"""


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    return path


def command(rig: Path, source: str, *options: str) -> list[str]:
    script = rig.with_name("script.py")
    script.write_text(source)
    return [*RUN, str(script), "--rig", str(rig), "--data", str(rig.parent), *options]


def run(rig: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(rig, source, *options), capture_output=True, text=True, timeout=100, check=False
    )


def test_output_and_file_go_to_stdout_and_talk_to_stderr(rig) -> None:
    source = "stage.move_abs(parameters['to'])\nemit(x=stage.position())\nprint('done')"
    done = run(rig, source, "-p", "to=2.5")
    assert done.returncode == 0, done.stderr
    first, second, *table = done.stdout.splitlines()
    assert first == "done"
    file = Path(second.removeprefix("file: "))
    assert table[0].split() == ["stream", "rows", "gaps"]
    assert "completed" in done.stderr
    with h5py.File(file) as recording:
        assert recording["entry/events/x"][:].tolist() == [2.5]


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("stage.move_to(1.0)", 2, "did you mean"),
        ("camera.trigger()", 2, "camera"),
        ("import os", 2, "os"),
        ("stage.move_abs(99.0)", 1, "within 0 to 5"),
        ("stage.move_abs(float('nan'))", 1, "finite"),
        ("while True:\n    pass", 1, "operations"),
        ("1 / 0", 1, "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(rig, source, code, words) -> None:
    done = run(rig, source)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_rig_is_told_as_config_check_tells_it(rig) -> None:
    rig.write_text(RIG.replace("limits", "limts"))
    done = run(rig, "print(1)")
    assert done.returncode == 2
    assert "limts" in done.stderr
    assert "line 8" in done.stderr


def test_rings_that_do_not_fit_are_refused_with_what_to_do(rig) -> None:
    rig.write_text(RIG + '[stream.stage]\ncapacity_bytes = "900 GiB"\n')
    done = run(rig, "print(1)")
    assert done.returncode == 4, done.stderr
    assert "ring_directory" in done.stderr


def test_ctrl_c_stops_the_run_and_keeps_its_file(rig) -> None:
    source = (
        "print('begun')\n"
        "try:\n"
        "    while True:\n"
        "        sleep(0.01)\n"
        "finally:\n"
        "    stage.move_abs(1.0)\n"
        "    print('tidy')\n"
    )
    process = subprocess.Popen(
        command(rig, source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "stopped" in said
    assert output.startswith("tidy\nfile: ")


def test_json_is_the_whole_status_in_one_object(rig) -> None:
    done = run(rig, "print('hello')", "--json")
    status = json.loads(done.stdout)
    assert (status["state"], status["output"]) == ("completed", "hello\n")
    assert status["recording"]["state"] == "sealed"


def test_a_killed_daemon_ends_the_command_and_leaves_no_rings(rig) -> None:
    rings = rig.with_name("rings")
    rig.write_text(RIG.replace("[[", f'[daemon]\nring_directory = "{rings}"\n\n[[', 1))
    process = subprocess.Popen(
        command(rig, "print('begun')\nwhile True:\n    sleep(0.01)"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    daemon = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(daemon, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "error: " in said
    assert list(rings.iterdir()) == []


def without(directory: Path, *modules: str) -> dict[str, str]:
    """An environment in which these modules are not installed."""
    lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in modules)]
    (directory / "sitecustomize.py").write_text("\n".join(lines))
    return {**os.environ, "PYTHONPATH": str(directory)}


@pytest.mark.parametrize(
    ("missing", "code", "words"),
    [
        (["grpc", "google", "pyarrow", "edfio", "serial"], 0, "completed"),
        (["h5py"], 4, "pip install 'ringdaq[record]'"),
    ],
)
def test_only_what_is_needed_must_be_installed(rig, tmp_path, missing, code, words) -> None:
    done = subprocess.run(
        command(rig, "stage.move_abs(1.0)"),
        env=without(tmp_path, *missing),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def is_gone(daemon: LocalDaemon) -> bool:
    try:
        daemon.connect().close()
    except DaemonUnreachableError:
        return True
    return False


def refused_once_gone(rig: Path, refusal: Exception) -> None:
    with PrivateDaemon(rig, options=("--no-gateway",)) as daemon:
        until(lambda: is_gone(daemon))
        raise refusal


@pytest.mark.parametrize("refusal", [BusyError, DaemonUnreachableError])
def test_a_daemon_that_goes_by_itself_says_why(rig, tmp_path, monkeypatch, capsys, refusal) -> None:
    monkeypatch.setenv("PYTHONPATH", without(tmp_path, "h5py")["PYTHONPATH"])
    with pytest.raises(click.exceptions.Exit) as ended:
        refused_once_gone(rig, refusal("it takes nothing more"))
    assert ended.value.exit_code == 4
    assert "pip install 'ringdaq[record]'" in capsys.readouterr().err
