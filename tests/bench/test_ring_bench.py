"""The ring's benchmarks run, once and with tiny counts, so that they cannot rot."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDS = (
    "append_scalar", "record_1row", "block_51k", "frame_8m_copy", "frame_8m_loan", "latest",
    "window_60s", "wake", "spin", "sleepers_8", "cpu_1khz",
)  # fmt: skip
UNITS = {"ns", "us", "ms", "s", "%", "1"}


def python(*arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SHOW = """
import json
from benchmarks.ring_bench.__main__ import figures
from benchmarks.ring_bench.figure import TINY
print(json.dumps([figure.plain() for figure in figures(TINY)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="the limits are C programs")
def test_every_figure_of_the_table_is_measured_with_its_limit() -> None:
    found = json.loads(python("-c", SHOW))
    assert [figure["id"] for figure in found] == list(IDS)
    for figure in found:
        assert figure["value"] > 0, figure
        assert figure["limit"] > 0, figure
        assert figure["ratio"] > 0, figure
        assert figure["unit"] in UNITS, figure
        assert all(isinstance(value, float) for value in figure["peers"].values())


@pytest.mark.parametrize("peer", ["ringdaq", "multiprocessing"])
def test_a_peer_is_measured(peer: str) -> None:
    found = json.loads(python("benchmarks/peers/harness.py", peer, 64, 0.02))
    assert "missing" not in found, found
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["per_sec"] > 0
    assert 0 < found["kept"] <= 1


def test_a_peer_that_is_not_there_says_why() -> None:
    found = json.loads(python("benchmarks/peers/harness.py", "no_such_peer", 64, 0.02))
    assert "no_such_peer" in found["missing"]
