"""What stands behind a stage that makes triggers goes on as before the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_stand import CHANNELS, SAMPLES, SOURCE, VOLTS, graph_of, play, raw_stream, stage
from graph_stand import wait_until as wait
from pipeline_kit import T0

from ringdaq.pipeline import RunningPipeline, build
from ringdaq.streams import StreamWriter

TIMEOUT = 20.0
LEVEL = stage('name = "level"; type = "threshold"; channel = "Fz"; level = 0.005')
SINKS = {
    "csv": stage('name = "end"; type = "csv_sink"; file = "out.csv"'),
    "bdf": stage('name = "end"; type = "edf_sink"; file = "out.bdf"'),
    "plugin": stage(
        'name = "end"; type = "plugin"; file = "plugin.py"; stage_type = "control_plane"'
    ),
}
PLUGIN = """
class Looks:
    name = "looks"
    description = "Looks at what it is given."

    def process(self, view):
        assert view.data.shape == (view.samples, len(view.channels))
"""
PACKETS = 5


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[StreamWriter]:
    with raw_stream(tmp_path) as writer:
        yield writer


def crossings() -> np.ndarray[Any, Any]:
    """A step above 5 mV in each packet."""
    data = np.zeros((PACKETS * SAMPLES, CHANNELS), np.int32)
    data[np.arange(len(data)) % SAMPLES >= SAMPLES // 2, 0] = 10_000
    return data


@pytest.mark.parametrize("sink", SINKS)
def test_a_sink_behind_a_threshold_takes_every_packet(
    tmp_path: Path, raw: StreamWriter, sink: str
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    with RunningPipeline(
        build(graph_of(SOURCE + VOLTS + LEVEL + SINKS[sink], tmp_path))
    ) as pipeline:
        play(raw, crossings(), T0)
        wait(lambda: pipeline.statistics()["stages"]["level"]["packets"] == PACKETS)
        assert pipeline.drain(TIMEOUT)
        found = pipeline.statistics()
        assert pipeline.failures() == []
    assert found["stages"]["level"]["triggers"] == found["sinks"]["end"]["triggers"] == PACKETS
    assert (found["sinks"]["end"]["packets"], found["lost"]) == (PACKETS, 0)


def test_epochs_around_triggers_go_into_a_file(tmp_path: Path, raw: StreamWriter) -> None:
    epoch = stage('name = "epochs"; type = "epoch"; before_secs = 0.04; after_secs = 0.04')
    text = SOURCE + VOLTS + LEVEL + epoch + SINKS["csv"]
    with RunningPipeline(build(graph_of(text, tmp_path))) as pipeline:
        play(raw, crossings())
        wait(lambda: pipeline.statistics()["sinks"]["end"]["packets"] == PACKETS)
        assert pipeline.drain(TIMEOUT)
        assert pipeline.failures() == []
    _, *lines = (tmp_path / "out.csv").read_text().splitlines()
    values = np.array([float(line.split(",")[1]) for line in lines]).reshape(PACKETS, 20)
    assert (values > 0.005).tolist() == [[False] * 10 + [True] * 10] * PACKETS
