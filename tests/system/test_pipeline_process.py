"""Pipelines in processes of their own: results recorded, deaths survived, holes declared."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from pipeline_stand import EEG, FILTER, Pipelines

from ringdaq.recorder import describe_file
from ringdaq.recorder.readback import RecordedFile


@pytest.fixture
def start(start_daemon):
    def start(more: str) -> Pipelines:
        return Pipelines(start_daemon(more=more))

    return start


def test_a_killed_pipeline_comes_back_and_the_hole_is_declared(start):
    pipelines = start(EEG.format(more="") + FILTER.format(name="clean", stream="eeg"))
    first = pipelines.await_rows("clean", 1)
    recorder = pipelines.control.call("info")["pid"]
    recording = pipelines.record("eeg", "clean")
    pipelines.await_rows("clean", first["statistics"]["rows"] + 500)
    pid = pipelines.kill("clean")
    again = pipelines.await_state("clean", "running", but_pid=pid)
    assert again["restarts"] == 1
    pipelines.await_rows("clean", 500, after=first["generation"])
    file, counters = pipelines.end_recording(recording)
    assert pipelines.control.call("info")["pid"] == recorder
    for one in counters.values():
        assert one["produced_rows"] == one["durable_rows"] + one["gap_rows"]
    assert counters["eeg"]["gap_rows"] == 0
    (gap,) = describe_file(file)["gaps"]
    assert gap["reason"] == "pipeline restarted"
    assert gap["rows"] == counters["clean"]["gap_rows"] > 0
    with RecordedFile(file) as recorded:
        stream = recorded.streams["clean"]
        times = stream.times(0, stream.rows)
        assert stream.spec.simulated
        assert stream.spec.sample_rate == Fraction(1000)
    steps = np.rint(np.diff(times) / 1_000_000).astype(int)
    assert steps.sum() + 1 == counters["clean"]["produced_rows"]
    assert np.flatnonzero(steps != 1).tolist() == [gap["row"] - 1]
