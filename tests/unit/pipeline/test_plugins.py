"""Stages in Python: what they see, what they may do, and what happens when they fail."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from graph_stand import (
    SINK,
    SOURCE,
    VOLTS,
    counts,
    graph_of,
    play,
    raw_stream,
    read_stream,
    refusal,
    running,
    stage_figures,
    wait_until,
)

from ringdaq.errors import ConfigError
from ringdaq.pipeline import EegDataView, RunningPipeline, build, plugins
from ringdaq.streams import StreamWriter
from ringdaq.testing.stage import run_stage

FILE = """\
class Gain:
    name = "gain"
    description = "Multiplies."

    def __init__(self, factor: float, fail_at: int = -1) -> None:
        self.factor, self.fail_at, self.packets = factor, fail_at, 0

    def process(self, view):
        self.packets += 1
        if self.packets == self.fail_at:
            raise ValueError(f"packet {view.frame_id} is odd")
        return view.data * self.factor
"""
STAGE = '[[stage]]\nname = "mine"\ntype = "plugin"\nfile = "gain.py"\nfactor = 2\n'


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[StreamWriter]:
    (tmp_path / "gain.py").write_text(FILE)
    with raw_stream(tmp_path) as writer:
        yield writer


class Stage:
    """A plugin of a function."""

    name, description = "test", "For tests."

    def __init__(self, process: Any) -> None:
        self.process = process


BLOCK = np.arange(12, dtype=np.float32).reshape(4, 3)


# --- what a plugin sees and gives


def test_it_sees_a_view() -> None:
    seen: list[Any] = []

    def look(view: EegDataView) -> None:
        seen.append((view.kind, view.rate, view.samples, view.frame_id, view.is_mutable))
        seen.append([channel.name for channel in view.channels])
        seen.append((view.data.tolist(), view.channel(1).tolist(), view.timestamps().tolist()))
        with pytest.raises(ValueError, match="read-only"):
            view.data[0, 0] = 1

    assert run_stage(Stage(look), BLOCK, origin_nanos=7, packet=2).tolist() == BLOCK.tolist()
    assert seen[:2] == [("voltage", 250, 2, 0, False), ["ch0", "ch1", "ch2"]]
    assert seen[5] == (BLOCK[2:].tolist(), [7, 10], [8_000_007, 12_000_007])


def test_what_it_returns_goes_on() -> None:
    assert run_stage(Stage(lambda view: view.data * 2), BLOCK).tolist() == (BLOCK * 2).tolist()
    assert run_stage(Stage(lambda view: None), BLOCK).tolist() == BLOCK.tolist()
    kept = run_stage(Stage(lambda view: view.frame_id != 0), BLOCK, packet=2)
    assert kept.tolist() == BLOCK[2:].tolist()


def test_in_place_it_writes_the_packet() -> None:
    class Negative:
        name, description = "negative", "Turns the sign."

        def process_inplace(self, view: Any) -> None:
            assert view.is_mutable
            np.negative(view.data, out=view.data)

    assert run_stage(Negative(), BLOCK).tolist() == (-BLOCK).tolist()


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros(3), "text", 3.0])
def test_a_result_of_another_shape_is_an_error(wrong: Any) -> None:
    with pytest.raises(Exception, match=r"must return None, False or an array of shape \(4, 3\)"):
        run_stage(Stage(lambda view: wrong), BLOCK)


RETURNS = """
import numpy as np

class Gain:
    name = "gain"
    description = "Gives something else than it was given."

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def process(self, view):
        return {}
"""


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("view.data * 1e-6", "must return int32 here, .*found float64; put a to_voltage stage"),
        ("view.data.astype(np.int64) * 10**7", "numbers from -2147483648 to 2147483647 here"),
    ],
)
def test_what_counts_cannot_hold_is_an_error_and_no_other_number(
    made: str, said: str, tmp_path: Path, raw: StreamWriter
) -> None:
    (tmp_path / "gain.py").write_text(RETURNS.format(made))
    with running(SOURCE + STAGE + SINK, tmp_path) as built:
        play(raw, counts(1))
        wait_until(lambda: stage_figures(built, "mine")[0][1] == 1)
        assert re.search(said, stage_figures(built, "mine")[1])


def test_other_whole_numbers_that_fit_stay_counts(tmp_path: Path, raw: StreamWriter) -> None:
    (tmp_path / "gain.py").write_text(RETURNS.format("view.data.astype(np.int64) * 2"))
    with running(SOURCE + STAGE + SINK, tmp_path):
        play(raw, counts(1))
        assert np.array_equal(read_stream(tmp_path, "out", 1), counts(1) * 2)


# --- failures


def policy(on_error: str) -> str:
    return SOURCE + VOLTS + STAGE + f'fail_at = 2\non_error = "{on_error}"\n' + SINK


def test_bypass_lets_the_packet_go_on_and_counts(tmp_path: Path, raw: StreamWriter) -> None:
    with running(policy("bypass"), tmp_path) as built:
        play(raw, counts(4))
        found = read_stream(tmp_path, "out", 4) / (counts(4) * 1e-6 + (counts(4) == 0))
        assert np.allclose(np.median(found.reshape(4, -1), axis=1), [2, 1, 2, 2])
        figures, error = stage_figures(built, "mine")
        assert figures == [4, 1, 1, 0, 0]
    assert 'gain.py", line 11, in process' in error
    assert "ValueError: packet 1 is odd" in error


def test_restart_begins_with_a_new_instance(tmp_path: Path, raw: StreamWriter) -> None:
    with running(policy("restart"), tmp_path) as built:
        sent = 0

        def begun_anew() -> bool:
            nonlocal sent
            play(raw, counts(1))
            sent += 1
            wait_until(lambda: stage_figures(built, "mine")[0][0] == sent)
            return stage_figures(built, "mine")[0][4] >= 2

        wait_until(begun_anew)
        came, errors, bypassed, dropped, restarts = stage_figures(built, "mine")[0]
    # Each instance fails at its own second packet: had the first gone on, it would fail once.
    assert (came, bypassed) == (sent, 0)
    assert errors >= 2
    assert restarts >= 2
    assert dropped >= errors


def test_stop_ends_the_path_and_says_why(tmp_path: Path, raw: StreamWriter) -> None:
    with running(policy("stop"), tmp_path) as built:
        play(raw, counts(4))
        wait_until(lambda: built.pipeline.statistics()[3][0][1] == "failed")
        assert "packet 1 is odd" in built.pipeline.statistics()[3][0][4]
        assert stage_figures(built, "mine")[0][:2] == [2, 1]
        assert len(read_stream(tmp_path, "out", 1)) == 50


CLOSING = (
    FILE
    + """
    def close(self):
        with open("TOLD", "a") as file:
            file.write(f"{self.packets} ")
        raise OSError("no matter")
"""
)


@pytest.mark.parametrize("plane", ["data_plane", "control_plane"])
def test_a_plugin_is_told_of_the_end_once(plane: str, tmp_path: Path, raw: StreamWriter) -> None:
    (tmp_path / "gain.py").write_text(CLOSING.replace("TOLD", str(tmp_path / "told")))
    text = SOURCE + VOLTS + STAGE + f'stage_type = "{plane}"\n'
    text += SINK if plane == "data_plane" else ""
    with RunningPipeline(build(graph_of(text, tmp_path))) as pipeline:
        play(raw, counts(3))

        def figures() -> dict[str, Any]:
            found = pipeline.statistics()
            told: dict[str, Any] = found["stages" if plane == "data_plane" else "sinks"]["mine"]
            return told

        wait_until(lambda: figures()["packets"] == 3)
        assert pipeline.drain(20.0)
    assert (tmp_path / "told").read_text() == "3 "


# --- finding them


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("factor = 2", "", 9, "the key 'factor' is missing"),
        ("factor = 2", "factr = 2", 13, "did you mean 'factor'?"),
        ('file = "gain.py"', 'file = "gone.py"', 12, "there is no file 'gone.py'"),
        ('file = "gain.py"', 'module = "gone:Gain"', 12, "No module named 'gone'"),
        ('file = "gain.py"', 'module = "gone"', 12, "'package.module:Class'"),
        ('file = "gain.py"', 'plugin = "gone"', 12, "no installed plugin 'gone'"),
        ('file = "gain.py"\n', "", 9, "write one of file, module and plugin"),
        ("factor = 2", 'class = "Gian"', 13, "did you mean 'Gain'?"),
    ],
)
def test_what_cannot_be_found_is_told_with_its_line(
    old: str, new: str, line: int, said: str, tmp_path: Path, raw: StreamWriter
) -> None:
    found = refusal(SOURCE + VOLTS + STAGE.replace(old, new) + SINK, tmp_path)
    assert f"line {line}: " in found
    assert said in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "no class with process"),
        (
            FILE.replace("factor: float", "factor: float, pool: int = 1"),
            "its parameter 'pool' is a key of every such stage",
        ),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("class A:\n  def process(self, view): ...", "needs the text 'name'"),
        (FILE + FILE.replace("Gain", "Loss"), "write class, one of 'Gain', 'Loss'"),
        (
            FILE.replace("self.factor, self", "raise OSError('no')\n        self.factor, self"),
            "plugin 'gain' refuses its parameters: OSError: no",
        ),
    ],
)
def test_what_is_no_plugin_is_told(text: str, said: str, tmp_path: Path, raw: StreamWriter) -> None:
    (tmp_path / "gain.py").write_text(text)
    with pytest.raises(ConfigError, match="stage 'mine'") as caught:
        graph_of(SOURCE + VOLTS + STAGE + SINK, tmp_path)
    assert said in str(caught.value)


def test_an_installed_plugin_is_a_type_like_any_other(
    tmp_path: Path, raw: StreamWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("ringdaq_gain_test")
    exec(FILE, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = EntryPoint("gain", f"{module.__name__}:Gain", plugins.GROUP)
    monkeypatch.setattr(plugins, "installed", lambda: {"gain": entry})
    stage = '[[stage]]\ntype = "gain"\nfactor = 3\n'
    with running(SOURCE + VOLTS + stage + SINK, tmp_path):
        play(raw, counts(1))
        assert np.allclose(read_stream(tmp_path, "out", 1), counts(1) * 3e-6, rtol=1e-5)
    with pytest.raises(ConfigError, match="did you mean 'gain'"):
        graph_of(SOURCE + VOLTS + stage.replace("gain", "gian") + SINK, tmp_path)


CONTROL = STAGE + 'stage_type = "control_plane"\n'
"""Seven lines."""


def test_on_the_control_plane_it_sees_packets_and_ends_the_path(
    tmp_path: Path, raw: StreamWriter
) -> None:
    built = build(graph_of(SOURCE + VOLTS + CONTROL, tmp_path))
    (sink,) = built.sinks
    assert (sink.name, sink.format.kind) == ("mine", "voltage")
    with pytest.raises(ConfigError, match="line 9: 'mine' is a sink; nothing can follow it"):
        graph_of(SOURCE + VOLTS + CONTROL + SINK, tmp_path)


@pytest.mark.parametrize(
    ("on_error", "wanted"),
    [
        ("bypass", {"state": "running", "packets": 3, "errors": 1, "restarts": 0}),
        ("stop", {"state": "failed", "packets": 1, "errors": 1, "restarts": 0}),
    ],
)
def test_a_failure_on_the_control_plane_does_as_its_policy_says(
    on_error: str, wanted: dict[str, Any], tmp_path: Path, raw: StreamWriter
) -> None:
    text = SOURCE + VOLTS + CONTROL + f'fail_at = 2\non_error = "{on_error}"\n'
    with RunningPipeline(build(graph_of(text, tmp_path))) as pipeline:
        play(raw, counts(4))

        def figures() -> dict[str, Any]:
            found = pipeline.statistics()["sinks"]["mine"]
            return {key: found[key] for key in wanted}

        wait_until(lambda: figures() == wanted)
        error = pipeline.statistics()["sinks"]["mine"]["error"]
    assert "packet 1 is odd" in error


def test_on_the_control_plane_a_restart_makes_it_anew(tmp_path: Path, raw: StreamWriter) -> None:
    text = SOURCE + VOLTS + CONTROL + 'fail_at = 2\non_error = "restart"\n'
    with RunningPipeline(build(graph_of(text, tmp_path))) as pipeline:

        def restarted_twice() -> bool:
            play(raw, counts(1))
            return pipeline.statistics()["sinks"]["mine"]["restarts"] >= 2

        wait_until(restarted_twice)
