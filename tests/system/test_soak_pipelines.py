"""A pipeline killed again and again while it is recorded: every row is kept or declared."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
from pipeline_stand import EEG, FILTER, Pipelines
from soak_plan import report, seconds_for

from ringdaq.recorder import describe_file
from ringdaq.recorder.readback import RecordedFile

pytestmark = pytest.mark.soak

NANOS_A_ROW = 1_000_000


def kill_and_wait(pipelines: Pipelines) -> float:
    """Kill the pipeline; returns how long it was until the next one's first record was there."""
    before = pipelines.stream("clean")["generation"]
    begun = time.monotonic()
    pipelines.kill("clean")
    pipelines.await_rows("clean", 1, after=before)
    return time.monotonic() - begun


def test_a_recording_adds_up_however_often_its_pipeline_is_killed(start_daemon: Any) -> None:
    dice = random.Random(6)
    more = EEG.format(more="") + FILTER.format(name="clean", stream="eeg")
    pipelines = Pipelines(start_daemon(more=more))
    pipelines.await_rows("clean", 1)
    recording = pipelines.record("eeg", "clean")
    pauses, end = [], time.monotonic() + max(20.0, seconds_for("pipeline kills"))
    while time.monotonic() < end:
        rows = pipelines.stream("clean")["statistics"]["rows"]
        pipelines.await_rows("clean", rows + dice.randrange(1, 6000))
        pauses.append(kill_and_wait(pipelines))
    file, counters = pipelines.end_recording(recording)
    for one in counters.values():
        assert one["produced_rows"] == one["durable_rows"] + one["gap_rows"]
    assert counters["eeg"]["gap_rows"] == 0
    gaps = describe_file(file)["gaps"]
    assert [gap["reason"] for gap in gaps] == ["pipeline restarted"] * len(pauses)
    with RecordedFile(file) as recorded:
        stream = recorded.streams["clean"]
        steps = np.rint(np.diff(stream.times(0, stream.rows)) / NANOS_A_ROW).astype(int)
    assert steps.sum() + 1 == counters["clean"]["produced_rows"]
    assert [int(steps[gap["row"] - 1]) - 1 for gap in gaps] == [gap["rows"] for gap in gaps]
    report("pipelines killed while they were recorded", len(pauses))
    report("their rows declared lost", counters["clean"]["gap_rows"])
    report("the longest until the next one's first record, ms", round(1000 * max(pauses)))
