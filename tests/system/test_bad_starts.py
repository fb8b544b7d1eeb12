"""A daemon that cannot start says why in one line and ends with its documented code."""

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

PACKAGES = ("grpc", "h5py", "pyarrow", "serial", "edfio")
# Hides packages from a process, as if their extras were not installed.
SITE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture
def without(tmp_path):
    """Makes an environment in which the given packages cannot be imported."""

    def hide(*packages):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(SITE.format(hidden=packages))
        return {**os.environ, "PYTHONPATH": str(folder)}

    return hide


def daemon_process(rig, state, env=None):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "ringdaq.cli", "daemon"),
            "--rig",
            str(rig),
            "--state",
            str(state),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def last_words(process):
    """The exit code and the error line of a daemon that does not start."""
    _, err = process.communicate(timeout=90)
    errors = [line for line in err.splitlines() if "error:" in line.lower()]
    assert "Traceback" not in err
    return process.returncode, "\n".join(errors) or err


def test_a_port_in_use_is_named(write_rig, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rig = write_rig(gateway=True, recorder=False)
        rig.write_text(rig.read_text().replace("grpc_port = 0", f"grpc_port = {port}"))
        process = daemon_process(rig, tmp_path / "state")
        _, err = process.communicate(timeout=90)
    assert process.returncode == 4, err
    assert str(port) in err
    assert "Traceback" not in err
    assert not (tmp_path / "state" / "daemon.json").exists()


def test_rings_that_do_not_fit_are_refused_with_numbers(write_rig, tmp_path):
    rig = write_rig(recorder=False, more='[stream.stage]\ncapacity_bytes = "900 GiB"\n')
    code, words = last_words(daemon_process(rig, tmp_path / "state"))
    assert code == 4
    # With the index, a ring takes more than its capacity of 966 367 641 600 bytes.
    assert re.search(r"need 1046\d{9} bytes; \d+ are free. The largest: stage 1046\d{9}", words)
    assert "ring_directory" in words


def test_a_wrong_rig_file_is_refused_with_key_and_line(write_rig, tmp_path):
    rig = write_rig(recorder=False, more="[scripts]\noperatoins = 5\n")
    code, words = last_words(daemon_process(rig, tmp_path / "state"))
    assert code == 2
    assert "operatoins" in words
    assert "'scripts.operations'" in words or "operations" in words
    assert "line " in words


def test_a_ring_for_a_stream_that_does_not_exist_is_refused(write_rig, tmp_path):
    rig = write_rig(recorder=False, more="[stream.stagee]\nminutes = 5\n")
    code, words = last_words(daemon_process(rig, tmp_path / "state"))
    assert code == 2
    assert "no stream 'stagee'" in words
    assert "'stage'" in words


def test_a_missing_serial_device_is_listed_while_the_rest_works(start_daemon):
    daemon = start_daemon(
        recorder=False,
        more="""
[[instrument]]
name = "x"
driver = "newport.esp300"
limits = { position = [0.0, 10.0] }
[instrument.options]
port = "/dev/no-such-port"
axis = 1
""",
    )
    listed = {i["name"]: i for i in daemon.control().call("instruments.list")}
    assert listed["stage"]["connected"]
    assert not listed["x"]["connected"]
    assert "/dev/no-such-port" in listed["x"]["error"]
    assert daemon.run("stage.move_abs(1)\n")["state"] == "completed"


@pytest.mark.parametrize(
    ("package", "extra", "changes"),
    [
        ("h5py", "record", {"recorder": True}),
        ("grpc", "net", {"recorder": False, "gateway": True}),
    ],
)
def test_a_missing_extra_is_named_in_one_line(
    write_rig, tmp_path, without, package, extra, changes
):
    process = daemon_process(write_rig(**changes), tmp_path / "state", env=without(package))
    _, err = process.communicate(timeout=90)
    assert process.returncode == 4, err
    assert f"ringdaq[{extra}]" in err
    assert "Traceback" not in err


def test_a_daemon_without_any_extra_runs_scripts(write_rig, tmp_path, without):
    rig = write_rig(gateway=False, recorder=False)
    process = daemon_process(rig, tmp_path / "state", env=without(*PACKAGES))
    script = tmp_path / "scan.py"
    script.write_text("for i in range(3):\n    stage.move_abs(i)\nprint(stage.position())\n")
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "state" / "daemon.json").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        done = subprocess.run(
            [sys.executable, "-m", "ringdaq.cli", "run", str(script), "--rig", str(rig)],
            env=without(*PACKAGES),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "2.0" in done.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_damaged_ring_header_is_an_error_and_no_crash(start_daemon):
    from ringdaq.errors import CorruptRecordError
    from ringdaq.streams import RingDirectory, StreamReader

    daemon = start_daemon(recorder=False)
    daemon.run("stage.move_abs(1)\n")
    path = RingDirectory(daemon.rings).newest("stage")
    damaged = path.with_name("copy.00000001.ring")
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 8, 1 << 60)  # capacity_bytes
    damaged.write_bytes(data)
    (damaged.with_suffix(".wake")).write_bytes(path.with_suffix(".wake").read_bytes())
    with pytest.raises(CorruptRecordError):
        StreamReader.open(damaged).latest()
    assert daemon.run("stage.move_abs(2)\n")["state"] == "completed"
