"""A disk of 64 MB fills during a run and is freed: an alarm, an exact gap, and on it goes."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCENARIO = Path(__file__).with_name("small_disk.py")
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]


def may_mount(directory):
    """Whether a process here may have a tmpfs of its own."""
    command = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def directory():
    # A socket's path must be short.
    path = Path(tempfile.mkdtemp(prefix="ringdaq-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("how", ["mount", "quota"])
def test_a_full_disk_costs_one_exact_gap_and_nothing_else(directory, ring_directory, how):
    real = how == "mount" and may_mount(directory)
    command = [sys.executable, str(SCENARIO), str(directory), str(ring_directory)]
    command = [*OWN_MOUNTS, *command, "mount"] if real else [*command, "quota"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"the alarm came after {found['alarm_secs']:.2f} s")
    assert "cannot be written" in found["error"]
    counts = found["report"]["streams"]["fast"]
    assert counts["produced_rows"] == counts["durable_rows"] + counts["gap_rows"] == found["total"]
    assert counts["gap_rows"] > 0
    assert found["report"]["error"] is None
    lost = {
        n
        for gap in found["gaps"]
        for n in range(gap["first_sequence"], gap["first_sequence"] + gap["records"])
    }
    assert sorted([*found["n"], *lost]) == list(range(found["total"]))
    assert {gap["reason"] for gap in found["gaps"]} == {"lapped"}
    assert found["value"] == [n * 0.5 for n in found["n"]]
