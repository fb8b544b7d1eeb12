"""What is driven beside the core: sources, sinks, changes, and how a pipeline says that it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core
from graph_stand import CHANNELS, SAMPLES, SINK, SOURCE, VOLTS, counts, graph_of, play, raw_stream
from graph_stand import wait_until as wait

from ringdaq.cli.pipeline_figures import MISSED, missed
from ringdaq.errors import ConfigError, PipelineError, ServiceError
from ringdaq.model import Channel, StreamSpec
from ringdaq.pipeline import build
from ringdaq.pipeline import running as running_module
from ringdaq.pipeline import tapping as tapping_module
from ringdaq.pipeline.changes import CHANGEABLE
from ringdaq.pipeline.process import check_names, has_records, is_over, make_room
from ringdaq.pipeline.running import RunningPipeline
from ringdaq.pipeline.tapping import ControlPlane
from ringdaq.streams import RingDirectory, StreamWriter

TIMEOUT = 20.0
BESIDE = (
    '[[stage]]\nname = "beside"\ntype = "plugin"\nfile = "plugin.py"\n'
    'stage_type = "control_plane"\ninput = "volts"\n'
)
PLUGIN = """
from ringdaq.pipeline import Plugin

class Beside(Plugin):
    name = "beside"
    description = "Fails at the second packet of its life."
    packets = 0

    def process(self, view):
        self.packets += 1
        if self.packets == 2:
            raise ValueError("the second")
"""

HANGS = """
import threading
from pathlib import Path
from ringdaq.pipeline import Plugin

class Hangs(Plugin):
    name = "hangs"
    description = "Comes back when a file is there."

    def process(self, view):
        while not Path("{go}").exists():
            threading.Event().wait(0.01)
        return view.data
"""


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[StreamWriter]:
    with raw_stream(tmp_path) as writer:
        yield writer


@contextmanager
def driven(text: str, directory: Path) -> Iterator[RunningPipeline]:
    pipeline = RunningPipeline(build(graph_of(text, directory)))
    pipeline.start()
    try:
        yield pipeline
    finally:
        assert pipeline.stop(TIMEOUT)


def sink(pipeline: RunningPipeline) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.statistics()["sinks"]["beside"]
    return found


def out_packets(pipeline: RunningPipeline) -> int:
    packets: int = pipeline.statistics()["stages"]["out"]["packets"]
    return packets


@pytest.mark.parametrize(
    ("on_error", "packets", "dropped", "state"),
    [("stop", 1, 4, "failed"), ("bypass", 4, 1, "running")],
)
def test_a_sink_that_fails_does_as_it_was_told(
    tmp_path: Path, raw: StreamWriter, on_error: str, packets: int, dropped: int, state: str
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    text = SOURCE + VOLTS + SINK + BESIDE + f'on_error = "{on_error}"\n'
    with driven(text, tmp_path) as pipeline:
        play(raw, counts(5))
        wait(lambda: out_packets(pipeline) == 5)
        wait(lambda: sink(pipeline)["packets"] + sink(pipeline)["dropped"] == 5)
        found = sink(pipeline)
        assert (found["packets"], found["dropped"], found["errors"]) == (packets, dropped, 1)
        assert found["state"] == state
        assert "the second" in found["error"]
        assert bool(pipeline.failures()) == (on_error == "stop")
        assert pipeline.statistics()["lost"] == dropped


def test_a_sink_that_is_made_anew_goes_on(
    tmp_path: Path, raw: StreamWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapping_module, "FIRST_REST_SECS", 0.0)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    text = SOURCE + VOLTS + SINK + BESIDE + 'on_error = "restart"\n'
    with driven(text, tmp_path) as pipeline:
        play(raw, counts(6))
        wait(lambda: sink(pipeline)["packets"] + sink(pipeline)["dropped"] == 6)
        found = sink(pipeline)
        assert (found["packets"], found["errors"]) == (3, 3)
        assert found["restarts"] == 2
        assert not pipeline.failures()


def test_a_source_that_ends_ends_the_pipeline_with_all_that_it_made(tmp_path: Path) -> None:
    board = '[[stage]]\nname = "board"\ntype = "simulated_eeg"\nrate_hz = 1000\nchannels = 4\n'
    with driven(board + VOLTS + SINK, tmp_path) as pipeline:
        wait(lambda: out_packets(pipeline) > 3)
        assert not pipeline.over
        assert pipeline.drain(TIMEOUT)
        assert pipeline.state == "ended"
        assert pipeline.over
        figures = pipeline.statistics()
        assert figures["sources"]["board"]["blocks"] == figures["stages"]["out"]["packets"]
        assert figures["lost"] == figures["sources"]["board"]["refused"] == 0
        assert sum(n for _, n in pipeline.latency()["volts"]["histogram"]) == out_packets(pipeline)


def test_a_stage_that_does_not_come_back_is_noticed(
    tmp_path: Path, raw: StreamWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "HANG_SECS", 0.2)
    go = tmp_path / "go"
    (tmp_path / "plugin.py").write_text(HANGS.format(go=go))
    text = SOURCE + VOLTS + '[[stage]]\ntype = "plugin"\nfile = "plugin.py"\n' + SINK
    with driven(text, tmp_path) as pipeline:
        play(raw, counts(1))
        wait(lambda: pipeline.hanging() == "in")
        go.touch()
        wait(lambda: pipeline.hanging() == "")
        pipeline.pause()
        assert pipeline.hanging() == ""


def test_changes_build_on_each_other_and_are_all_or_none(tmp_path: Path, raw: StreamWriter) -> None:
    text = (
        SOURCE + VOLTS + '[[stage]]\nname = "band"\ntype = "bandpass"\nlow_hz = 1\nhigh_hz = 40\n'
    )
    with driven(text + SINK, tmp_path) as pipeline:
        play(raw, counts(1))
        wait(lambda: out_packets(pipeline) == 1)
        pipeline.set({"band.low_hz": 5.0})
        pipeline.set({"band.high_hz": 30.0})
        with pytest.raises(ConfigError, match="must lie below"):
            pipeline.set({"band.high_hz": 20.0, "band.low_hz": 90.0})
        with pytest.raises(ConfigError, match="did you mean 'band'"):
            pipeline.set({"bend.low_hz": 1.0})
        with pytest.raises(ConfigError, match="no parameters that can change"):
            pipeline.set({"out.minutes": 1.0})
        # As the text says, step by step back: the filter's own start is found again.
        pipeline.set({"band.low_hz": 1.0, "band.high_hz": 40.0})


STEP = (
    '[[stage]]\nname = "step"\ntype = "threshold"\nchannel = "Fz"\nlevel = 0.5\n'
    '[[stage]]\nname = "band"\ntype = "bandpass"\nlow_hz = 1\nhigh_hz = 40\n'
)


def triggers_of_a_step(raw: StreamWriter, pipeline: RunningPipeline) -> int:
    """How often a step to 0.7 V crosses the level."""

    def stepped() -> Any:
        return pipeline.statistics()["stages"]["step"]

    before, data = stepped(), counts(1) * 0
    data[SAMPLES // 2 :] = 700_000
    play(raw, data)
    wait(lambda: stepped()["packets"] == before["packets"] + 1)
    return int(stepped()["triggers"] - before["triggers"])


def test_what_cannot_change_is_refused_before_anything_changes(
    tmp_path: Path, raw: StreamWriter
) -> None:
    with driven(SOURCE + VOLTS + STEP + SINK, tmp_path) as pipeline:
        assert triggers_of_a_step(raw, pipeline) == 1
        with pytest.raises(ConfigError, match="'step': rest cannot change while it runs"):
            pipeline.set({"step.level": 0.9, "step.rest_secs": 1.0})
        with pytest.raises(ConfigError, match="'step': channel cannot change while it runs"):
            pipeline.set({"band.low_hz": 2.0, "step.level": 0.9, "step.channel": "Cz"})
        assert triggers_of_a_step(raw, pipeline) == 1
        pipeline.set({"step.level": 0.9})
        assert triggers_of_a_step(raw, pipeline) == 0


def test_what_led_to_no_result_is_told_though_no_packet_is_lost(
    tmp_path: Path, raw: StreamWriter
) -> None:
    epoch = '[[stage]]\nname = "cut"\ntype = "epoch"\nbefore_secs = 1\nafter_secs = 0.1\n'
    with driven(SOURCE + VOLTS + STEP + epoch + SINK, tmp_path) as pipeline:
        assert triggers_of_a_step(raw, pipeline) == 1
        wait(lambda: pipeline.statistics()["stages"]["cut"]["own"]["lost"] == 1)
        figures = pipeline.statistics()
        assert missed(figures) == ["cut: 1 triggers without an epoch"]
        assert figures["lost"] == 0


def test_what_is_told_of_stages_is_what_they_count(tmp_path: Path, raw: StreamWriter) -> None:
    spec = StreamSpec("raw2", "samples", raw.spec.channels, sample_rate=raw.spec.sample_rate)
    stages = (
        'name = "cut"\ntype = "epoch"\ninput = "step"\nbefore_secs = 0.1\nafter_secs = 0.1\n',
        'name = "out2"\ntype = "ring_sink"\n',
        'name = "spectra"\ntype = "rfft"\ninput = "volts"\nlength = 64\n',
        'name = "out3"\ntype = "ring_sink"\n',
        'name = "in2"\ntype = "ring_source"\nstream = "raw2"\n',
        'name = "volts2"\ntype = "to_voltage"\n',
        'name = "both"\ntype = "zip"\ninput = ["volts", "volts2"]\nsecond_prefix = "b-"\n',
        'name = "out4"\ntype = "ring_sink"\n',
    )
    text = SOURCE + VOLTS + STEP + SINK + "".join(f"[[stage]]\n{one}" for one in stages)
    with (
        StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 20),
        driven(text, tmp_path) as pipeline,
    ):
        counted = pipeline.statistics()["stages"].values()
        assert set(MISSED) <= {key for stage in counted for key in stage["own"]}


class Refusing:
    """The core, of which something cannot be changed, from the second change on perhaps nothing."""

    def __init__(self, core: Any, stage: str, *, again: bool) -> None:
        self._core, self._stage, self._again = core, stage, again
        self._refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def set(self, stage: str, *more: Any) -> None:
        if stage == self._stage or (self._refused and not self._again):
            self._refused = True
            raise core.InvalidError("it did not answer in time")
        self._core.set(stage, *more)


@pytest.mark.parametrize("again", [True, False])
def test_a_change_that_fails_half_way_is_put_back_or_told(
    tmp_path: Path, raw: StreamWriter, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    wish = {"step.level": 0.9, "band.low_hz": 2.0}
    with driven(SOURCE + VOLTS + STEP + SINK, tmp_path) as pipeline:
        assert triggers_of_a_step(raw, pipeline) == 1
        with monkeypatch.context() as broken:
            broken.setattr(pipeline, "_core", Refusing(pipeline._core, "band", again=again))
            if not again:
                with pytest.raises(ServiceError, match="'level' has changed"):
                    pipeline.set(wish)
                return
            with pytest.raises(ConfigError, match="'band': 'sos' cannot change now"):
                pipeline.set(wish)
        assert triggers_of_a_step(raw, pipeline) == 1
        pipeline.set(wish)
        assert triggers_of_a_step(raw, pipeline) == 0


def test_the_table_of_what_can_change_is_the_cores(tmp_path: Path, raw: StreamWriter) -> None:
    """What is not in it is refused by the core too, and what is in it is not."""
    text = STEP + '[[stage]]\nname = "envelope"\ntype = "envelope"\ncutoff_hz = 5\n'
    text += '[[stage]]\nname = "decimate"\ntype = "decimate"\nfactor = 2\nantialias = false\n'
    with driven(SOURCE + VOLTS + text + SINK, tmp_path) as pipeline:
        play(raw, counts(1))
        wait(lambda: out_packets(pipeline) == 1)
        for stage in build_stages(pipeline):
            for key, value in stage.parameters.items():
                if key in CHANGEABLE.get(stage.kind, ()):
                    pipeline._core.set(stage.name, key, value, TIMEOUT)
                else:
                    with pytest.raises(core.InvalidError):
                        pipeline._core.set(stage.name, key, value, TIMEOUT)


def build_stages(pipeline: RunningPipeline) -> Iterator[Any]:
    """The core's stages, but those that another has taken over."""
    for stage in pipeline._graph.stages:
        if stage.planned is not None and stage.name != "volts":
            for name, made in zip(stage.core_names, stage.planned.stages, strict=True):
                yield SimpleNamespace(name=name, kind=made.kind, parameters=made.parameters)


def test_a_ring_that_is_read_no_more_beside_another_is_noticed(
    tmp_path: Path, raw: StreamWriter
) -> None:
    spec = StreamSpec("raw2", "samples", raw.spec.channels, sample_rate=raw.spec.sample_rate)
    text = SOURCE + VOLTS + SINK
    for name in ("raw", "volts", "in", "out"):
        text = text.replace(f'"{name}"', f'"{name}2"')
    with (
        StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 20) as beside,
        driven(SOURCE + VOLTS + SINK + text, tmp_path) as pipeline,
    ):
        play(raw, counts(1))
        play(beside, counts(1))
        wait(lambda: out_packets(pipeline) == 1)
        assert pipeline.cut_off == ""
        beside.close()
        wait(lambda: pipeline.cut_off == "in2")
        assert (pipeline.state, pipeline.over) == ("running", False)
        assert pipeline.drain(TIMEOUT)
        assert pipeline.cut_off == ""


def test_parameters_cannot_change_before_it_has_begun(tmp_path: Path, raw: StreamWriter) -> None:
    del raw
    pipeline = RunningPipeline(build(graph_of(SOURCE + VOLTS + SINK, tmp_path)))
    with pytest.raises(PipelineError, match="it has not begun"):
        pipeline.set({"volts.scale": 1.0})
    assert (pipeline.state, pipeline.statistics()["lost"]) == ("ready", 0)
    assert pipeline.stop(TIMEOUT)


def test_a_coroutine_runs_in_the_one_loop() -> None:
    plane, threads = ControlPlane(), set()

    async def take(value: int) -> None:
        await asyncio.sleep(0)
        threads.add((threading.current_thread().name, value))

    for value in (1, 2):
        plane.call(take, value)
    plane.call(lambda: threads.add((threading.current_thread().name, 3)))
    plane.close()
    plane.close()
    here = threading.current_thread().name
    assert threads == {("control-plane", 1), ("control-plane", 2), (here, 3)}


# --- what a process looks at before it begins


def ring(directory: Path, rows: int) -> StreamWriter:
    channels = tuple(Channel(f"c{n}", "float32") for n in range(CHANNELS))
    spec = StreamSpec("out", "samples", channels, sample_rate=Fraction(250))
    writer = StreamWriter.create(directory, spec, capacity_bytes=1 << 16)
    if rows:
        writer.write_block(1, np.zeros((rows, CHANNELS), np.float32))
    return writer


def test_old_rings_make_room_but_the_newest_with_anything_in_them(tmp_path: Path) -> None:
    paths = []
    for rows in (SAMPLES, SAMPLES, SAMPLES, 0, 0):
        with ring(tmp_path, rows) as writer:
            paths.append(writer.path)
    alive = ring(tmp_path, 0)
    make_room(RingDirectory(tmp_path), "out")
    assert RingDirectory(tmp_path).generations("out") == [*paths[1:3], alive.path]
    assert has_records(paths[1])
    assert not is_over(tmp_path, "out")
    alive.close()
    assert is_over(tmp_path, "out")
    assert not is_over(tmp_path, "never")


def test_a_result_does_not_pass_for_somebody_elses_stream(
    tmp_path: Path, raw: StreamWriter
) -> None:
    del raw
    config = graph_of(SOURCE + VOLTS + SINK, tmp_path).config
    check_names(config, ["out"], ["eeg"])
    for streams, taken in ((["out"], ["out"]), (["out", "out"], [])):
        with pytest.raises(ConfigError, match="'out' is written by somebody else"):
            check_names(config, streams, taken)
