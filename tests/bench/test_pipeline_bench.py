"""The pipeline's benchmark runs, once and with tiny counts, so that it cannot rot."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDS = {
    "chain", "chain_f32", "filter_f64", "filter_f32", "pass_through", "numba_stage",
    "layout", "python_stage", "cpu", "small_packets", "throughput", "lsl_loop",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="the limit is a C program")
def test_every_row_of_the_table_is_measured() -> None:
    pytest.importorskip("numba")
    pytest.importorskip("scipy")
    pytest.importorskip("mne_lsl")
    command = [sys.executable, "-m", "benchmarks.pipeline", "--tiny"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [\d.e+-]+ ", done.stdout, re.MULTILINE)) == IDS
