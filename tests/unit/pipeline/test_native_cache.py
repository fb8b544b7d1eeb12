"""What was compiled once is taken from the cache, and never where it would be something else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = """\
import numpy as np
from numba import njit
from ringdaq import native_stage
{more}
FACTOR = 2.0

def helper(value):
    return value + 1.0

helper = njit(helper)

@native_stage
def scale(inp, out, gain=1.0):
    for s in range(inp.shape[0]):
        for c in range(inp.shape[1]):
            out[s, c] = helper(inp[s, c]) * FACTOR * gain * np.cos(0.0)

if __name__ == "__main__":
    from ringdaq.testing.stage import run_stage
    print(run_stage(scale, [[1.0]])[0, 0], scale.compiled.cache_hits)
"""


def run(text: str, folder: Path) -> list[float]:
    """The result, and how often something came from the cache."""
    (folder / "stage.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "stage.py"],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def kept(folder: Path) -> int:
    return len(list((folder / "cache/ringdaq/native").glob("*.py")))


def test_another_process_takes_it_from_the_cache(tmp_path: Path) -> None:
    text = TEXT.format(more="")
    assert run(text, tmp_path) == [4.0, 0]
    assert run(text, tmp_path) == [4.0, 1]
    assert kept(tmp_path) == 1


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ("FACTOR = 2.0", "FACTOR = 3.0", 6.0),
        ("value + 1.0", "value + 2.0", 6.0),
        ("* gain", "+ gain", 5.0),
    ],
)
def test_whatever_it_uses_makes_it_another(
    old: str, new: str, result: float, tmp_path: Path
) -> None:
    text = TEXT.format(more="")
    assert run(text, tmp_path)[0] == 4.0
    assert run(text.replace(old, new), tmp_path) == [result, 0]


WITHIN = """\
from numba import njit
from ringdaq import native_stage

FACTOR = 2.0
SHIFT = 0.0

@njit
def shifted(value, by=SHIFT):
    return value + by

@native_stage
def scale(inp, out):
    def times(value):
        return value * FACTOR
    for s in range(inp.shape[0]):
        for c in range(inp.shape[1]):
            out[s, c] = shifted(times(inp[s, c]))

if __name__ == "__main__":
    from ringdaq.testing.stage import run_stage
    print(run_stage(scale, [[1.0]])[0, 0], scale.compiled.cache_hits)
"""


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [("FACTOR = 2.0", "FACTOR = 3.0", 3.0), ("SHIFT = 0.0", "SHIFT = 1.0", 3.0)],
)
def test_what_only_functions_within_it_and_defaults_use_counts_too(
    old: str, new: str, result: float, tmp_path: Path
) -> None:
    assert run(WITHIN, tmp_path) == [2.0, 0]
    assert run(WITHIN, tmp_path) == [2.0, 1]
    assert run(WITHIN.replace(old, new), tmp_path) == [result, 0]


def test_what_cannot_be_told_is_not_kept(tmp_path: Path) -> None:
    text = TEXT.format(more="TABLE = np.array([1.0])").replace("* gain", "* TABLE[0] * gain")
    assert run(text, tmp_path) == [4.0, 0]
    assert run(text, tmp_path) == [4.0, 0]


def test_without_a_place_to_write_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no directory")
    assert run(TEXT.format(more=""), tmp_path) == [4.0, 0]


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ringdaq.pipeline import native_cache

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(native_cache, "KEPT", 3)

    def stage(inp: object) -> None: ...

    files = [native_cache.cached_file(stage, str(number)) for number in range(5)]
    for place, file in enumerate(files):
        assert file is not None
        assert file.exists() == (place >= 2)


def test_what_is_damaged_is_compiled_anew(tmp_path: Path) -> None:
    text = TEXT.format(more="")
    assert run(text, tmp_path) == [4.0, 0]
    for file in (tmp_path / "cache/ringdaq/native/__pycache__").glob("*.nbc"):
        file.write_bytes(b"no pickle")
    assert run(text, tmp_path) == [4.0, 0]


def test_a_process_that_waits_for_a_plugin_has_numba_ready(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from ringdaq.pipeline.__main__ import warm_up\n"
        "warm_up(['notch', 'no such type'])\n"
        "before = 'numba' in sys.modules\n"
        "warm_up(['plugin'])\n"
        "print(before, 'numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.split() == ["False", "True"], done.stderr
