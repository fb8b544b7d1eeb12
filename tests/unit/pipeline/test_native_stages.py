"""A function that Numba compiles does what it says in Python, at the packet's edges too."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_stand import (
    SINK,
    SOURCE,
    VOLTS,
    counts,
    play,
    raw_stream,
    read_stream,
    refusal,
    running,
)

import ringdaq
from ringdaq.errors import MissingExtraError
from ringdaq.pipeline import NativeStage, changes, native_stage
from ringdaq.pipeline.parts import RefusedError
from ringdaq.testing.stage import run_stage


@native_stage(state="channels")
def smooth(inp, out, state, alpha=0.25):  # type: ignore[no-untyped-def]
    """Smooths exponentially."""
    for s in range(inp.shape[0]):
        for c in range(inp.shape[1]):
            state[c] += alpha * (inp[s, c] - state[c])
            out[s, c] = state[c]


def smoothed(block: np.ndarray[Any, Any], alpha: float) -> np.ndarray[Any, Any]:
    state, rows = np.zeros(block.shape[1]), []
    for row in block:
        state = state + alpha * (row - state)
        rows.append(state)
    return np.array(rows)


@pytest.mark.parametrize("channels", [1, 5, 16, 32])
@pytest.mark.parametrize("packet", [1, 7, 400])
def test_it_is_the_same_in_numpy(channels: int, packet: int) -> None:
    block = np.random.default_rng(channels).normal(0, 1, (400, channels)).astype(np.float32)
    found = run_stage(smooth, block, packet=packet, alpha=0.1)
    assert np.allclose(found, smoothed(block, 0.1), rtol=1e-6, atol=1e-7)


def test_called_it_is_plain_python() -> None:
    block, state = np.ones((3, 2), np.float32), np.zeros(2)
    out = np.empty_like(block)
    smooth(block, out, state, alpha=0.5)
    assert out[:, 0].tolist() == [0.5, 0.75, 0.875]
    assert smooth.description == "Smooths exponentially."


def test_without_an_out_it_works_in_place() -> None:
    @native_stage
    def square(inp):  # type: ignore[no-untyped-def]
        for s in range(inp.shape[0]):
            for c in range(inp.shape[1]):
                inp[s, c] *= inp[s, c]

    assert square.in_place
    assert run_stage(square, [[1, 2], [3, 4]]).tolist() == [[1, 4], [9, 16]]


def test_it_knows_the_rate_and_whole_numbers() -> None:
    @native_stage(state=(2, "channels"))
    def shift(inp, out, state, rate_hz, places: int = 1):  # type: ignore[no-untyped-def]
        for c in range(inp.shape[1]):
            for s in range(inp.shape[0]):
                out[s, c] = rate_hz * inp[(s + places) % inp.shape[0], c] + state.size

    found = run_stage(shift, [[1.0], [2.0], [3.0]], rate_hz=100, places=2)
    assert found.ravel().tolist() == [302, 102, 202]
    with pytest.raises(RefusedError, match=r"'places' must be a whole number; found 1.5"):
        run_stage(shift, [[1.0]], places=1.5)


def test_whole_arrays_may_be_used() -> None:
    @native_stage
    def rereference(inp, out):  # type: ignore[no-untyped-def]
        for s in range(inp.shape[0]):
            out[s] = inp[s] - inp[s].mean()

    block = np.random.default_rng(0).normal(0, 1, (20, 6)).astype(np.float32)
    wanted = block - block.mean(1, keepdims=True)
    assert np.allclose(run_stage(rereference, block), wanted, atol=1e-6)


def test_it_may_raise() -> None:
    @native_stage
    def broken(inp):  # type: ignore[no-untyped-def]
        if inp[0, 0] > 1:
            raise ValueError("too much")

    run_stage(broken, [[1.0]])
    with pytest.raises(Exception, match="the native stage returned 1"):
        run_stage(broken, [[2.0]])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: native_stage(lambda: None), "takes the packet first"),
        (lambda: native_stage(lambda out: None), "takes the packet first"),
        (lambda: native_stage(lambda inp, state: None), "declare the state's shape"),
        (lambda: native_stage(state=3)(lambda inp: None), "declare the state's shape"),
        (lambda: native_stage(state="rows")(lambda inp, state: None), "whole numbers and"),
        (lambda: native_stage(state=0)(lambda inp, state: None), "whole numbers and"),
        (lambda: native_stage(lambda inp, kind="x": None), "parameters are numbers"),
    ],
)
def test_what_is_no_stage_is_refused_where_it_is_written(make: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        make()


def test_what_does_not_compile_is_told() -> None:
    @native_stage
    def wrong(inp):  # type: ignore[no-untyped-def]
        inp[0, 0] = input("x")

    with pytest.raises(RefusedError, match="'wrong' cannot be compiled"):
        run_stage(wrong, [[1.0]])


def test_without_numba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "numba":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'ringdaq\[numba\]'"):
        _ = native_stage(lambda inp: None).compiled


def test_it_is_at_the_front_door() -> None:
    assert ringdaq.native_stage is native_stage
    assert isinstance(smooth, NativeStage)


# --- in a graph

FILE = """\
from ringdaq import native_stage


@native_stage(state="channels")
def smooth(inp, out, state, alpha=0.25):
    for s in range(inp.shape[0]):
        for c in range(inp.shape[1]):
            state[c] += alpha * (inp[s, c] - state[c])
            out[s, c] = state[c]
"""
STAGE = '[[stage]]\nname = "soft"\ntype = "plugin"\nfile = "smooth.py"\nalpha = 0.5\n'


def test_a_graph_runs_it_and_changes_it(tmp_path: Path) -> None:
    (tmp_path / "smooth.py").write_text(FILE)
    with raw_stream(tmp_path) as raw, running(SOURCE + VOLTS + STAGE + SINK, tmp_path) as built:
        play(raw, counts(4))
        wanted = smoothed(counts(4) * 1e-6, 0.5)
        assert np.allclose(read_stream(tmp_path, "out", 4), wanted, rtol=1e-5, atol=1e-9)
        (change,), _ = changes(built.graph, "soft", {"alpha": 1.0})
        built.pipeline.set(*change[:3])
        play(raw, counts(1))
        found = read_stream(tmp_path, "out", 5)[200:]
        assert np.allclose(found, counts(1) * 1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("alpha = 0.5", "alfa = 0.5", 13, "unknown key 'alfa'; did you mean 'alpha'?"),
        ("alpha = 0.5", 'alpha = "x"', 13, "'alpha' must be a finite number; found 'x'"),
        ("smooth.py", "smoth.py", 12, "there is no file 'smoth.py'"),
        ("alpha = 0.5", 'class = "smoot"', 13, "did you mean 'smooth'?"),
        ("alpha = 0.5", 'stage_type = "control_plane"', 13, "runs on the data_plane"),
    ],
)
def test_a_graph_refuses_it_with_its_line(
    old: str, new: str, line: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "smooth.py").write_text(FILE)
    with raw_stream(tmp_path):
        found = refusal(SOURCE + VOLTS + STAGE.replace(old, new) + SINK, tmp_path)
    assert f"line {line}: " in found
    assert said in found
