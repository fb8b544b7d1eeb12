"""What a sink does when something before it fails, and what is told when it cannot finish."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graph_stand import CHANNELS, SAMPLES, SINK, SOURCE, counts, graph_of, play, raw_stream, stage
from graph_stand import wait_until as wait
from pipeline_kit import T0

from ringdaq.pipeline import RunningPipeline, build

TIMEOUT = 20.0
FAILS = """
class Fails:
    name = "fails"
    description = "Fails at once."

    def process(self, view):
        raise ValueError("it never works")
"""
JOINED = (
    SOURCE
    + stage('name = "bad"; type = "plugin"; file = "fails.py"')
    + SOURCE.replace('"in"', '"in2"').replace('"raw"', '"other"')
    + stage('name = "good"; type = "pass"')
    + SINK
    + stage('name = "end"; type = "csv_sink"; file = "out.csv"; input = ["bad", "good"]')
)


def test_a_path_that_fails_holds_up_no_other_path_into_the_same_sink(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    packets = 40
    with (
        raw_stream(tmp_path) as raw,
        raw_stream(tmp_path, "other") as other,
        RunningPipeline(build(graph_of(JOINED, tmp_path))) as pipeline,
    ):
        play(raw, counts(1))
        wait(lambda: "it never works" in pipeline.statistics()["sinks"]["end"]["error"])
        play(other, counts(packets))
        wait(lambda: pipeline.statistics()["stages"]["out"]["packets"] == packets)
        assert pipeline.drain(TIMEOUT)
        found = pipeline.statistics()
        assert "it never works" in "".join(pipeline.failures())
    assert found["sinks"]["end"]["packets"] == packets
    assert (found["sinks"]["end"]["dropped"], found["lost"]) == (0, 1)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) == 1 + packets * SAMPLES
    assert lines[0].count(",") == CHANNELS


def test_a_sink_that_cannot_finish_its_file_has_failed(tmp_path: Path) -> None:
    text = SOURCE + stage('name = "end"; type = "edf_sink"; file = "out.bdf"')
    with (
        raw_stream(tmp_path) as raw,
        RunningPipeline(build(graph_of(text, tmp_path))) as pipeline,
    ):
        play(raw, counts(2), T0)
        wait(lambda: pipeline.statistics()["sinks"]["end"]["packets"] == 2)
        (tmp_path / "out.bdf").write_text("somebody else's")
        assert pipeline.drain(TIMEOUT)
        found = pipeline.statistics()["sinks"]["end"]
        assert (found["state"], found["errors"], found["files"]) == ("failed", 1, 0)
        (said,) = pipeline.failures()
    assert "File exists" in said
    assert f"they are kept as they came, int32 of 4 channels: {tmp_path}/out.bdf.part" in said
    assert (tmp_path / "out.bdf").read_text() == "somebody else's"
    kept = np.fromfile(tmp_path / "out.bdf.part", np.int32).reshape(-1, CHANNELS)
    assert np.array_equal(kept, counts(2))
