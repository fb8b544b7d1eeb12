"""A gateway that is started again and cannot serve yet is no end of the daemon."""

import os
import signal
import socket
import time

import pytest

import ringdaq
from ringdaq.daemon.supervisor import GIVE_UP_CODE, Child
from ringdaq.errors import RingdaqError
from ringdaq.testing.daemon import TemporaryDaemon

PATIENCE_SECS = 60
# Serves the first time, and cannot the next two times.
HELPER = f"""
import pathlib, signal, sys
starts = pathlib.Path(sys.argv[1])
count = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (count + 1))
if count in (1, 2):
    sys.exit({GIVE_UP_CODE})
signal.pause()
"""


def await_(condition, what):
    deadline = time.monotonic() + PATIENCE_SECS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECS} s for {what}"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("insisting", [True, False])
def test_what_ran_once_is_started_until_it_runs_again(tmp_path, insisting):
    told, starts = [], tmp_path / "starts"
    child = Child("helper", ["-c", HELPER, str(starts)], told.append)
    child.start()
    await_(lambda: starts.exists() and starts.read_text(), "its first start")
    if insisting:
        child.insist()
    child.kill()
    if insisting:
        await_(lambda: child.restarts == 3 and child.pid is not None, "its fourth start")
        assert not told
    else:
        await_(lambda: told, "the word that it cannot run")
        assert child.restarts == 1
    child.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def stranger_on(port):
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def pid_of_the_gateway(daemon):
    for entry in os.listdir("/proc"):
        if entry.isdigit() and parent_of(entry) == daemon.pid and "gateway" in command_of(entry):
            return int(entry)
    return None


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_stranger_on_its_port_ends_no_daemon(write_rig, tmp_path):
    port = free_port()
    rig = write_rig(gateway=True, recorder=False)
    rig.write_text(rig.read_text().replace("grpc_port = 0", f"grpc_port = {port}"))
    with TemporaryDaemon(rig, tmp_path) as daemon:
        goes_on_without_its_port(daemon, port)


def goes_on_without_its_port(daemon, port):
    control, token = daemon.control(), (daemon.state / "token").read_text().strip()
    os.kill(await_(lambda: pid_of_the_gateway(daemon), "the gateway"), signal.SIGKILL)
    with await_(lambda: stranger_on(port), "the port to be free for a stranger"):
        await_(lambda: f"code {GIVE_UP_CODE}; starting" in daemon.log.read_text(), "it to give up")
        assert control.call("info")["rig"] == "test"

    def back():
        try:
            with ringdaq.connect(f"127.0.0.1:{port}", token) as client:
                return client.info().rig == "test"
        except RingdaqError:
            return False

    await_(back, "the gateway to serve again")
