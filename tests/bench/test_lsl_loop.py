"""The benchmark of LSL through a pipeline runs, once and with tiny counts, and loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_chunk_arrives_alone_and_through_the_pipeline() -> None:
    pytest.importorskip("mne_lsl")
    command = [sys.executable, "-m", "benchmarks.lsl_loop", "--tiny"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"value", "peers"}
    assert found["peers"]["through_p50_us"] > found["peers"]["lsl_alone_p50_us"] > 0
