"""Fixtures that several kinds of tests share."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from ringdaq.testing.daemon import TemporaryDaemon

RIG = """
[rig]
name = "test"

[daemon]
grpc_port = 0
gateway = {gateway}
recorder = {recorder}
data_directory = "data"
ring_directory = "{rings}"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = {{ position = [0.0, 50.0] }}
[instrument.options]
mode = "{mode}"

[[instrument]]
name = "camera"
driver = "simulated.camera"
simulated = true
{camera}
[instrument.options]
mode = "instant"
follows = "stage"
width = 32
height = 24

[[instrument]]
name = "power_meter"
driver = "simulated.power_meter"
simulated = true
[instrument.options]
mode = "instant"
follows = "stage"

{more}
"""


def pytest_collection_modifyitems(items):
    """Tests with real processes are slow, all of them."""
    for item in items:
        if item.path.parent.name == "system":
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def ring_directory():
    """A private directory for rings in shared memory, gone afterwards."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="ringdaq-test-", dir=base))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def write_rig(tmp_path, ring_directory):
    """Writes a rig file: stage, camera, power meter, and what the test adds."""

    def write(*, gateway=False, recorder=True, mode="instant", camera="", more=""):
        path = tmp_path / "rig.toml"
        path.write_text(
            RIG.format(
                gateway=str(gateway).lower(),
                recorder=str(recorder).lower(),
                rings=ring_directory,
                mode=mode,
                camera=camera,
                more=more,
            )
        )
        return path

    return write


@pytest.fixture
def start_daemon(tmp_path, write_rig):
    """Starts daemons on a rig with the given changes; all are ended afterwards."""
    started = []

    def start(**changes):
        daemon = TemporaryDaemon(write_rig(**changes), tmp_path)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        daemon.stop()
