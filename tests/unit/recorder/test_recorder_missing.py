"""A value that is missing is missing wherever it is kept, and costs nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from recorder_bench import START, STEP

from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder import recover
from ringdaq.recorder.readback import RecordedFile
from ringdaq.streams import StreamWriter

LACKING = [False, False, True, False, False]


def check(path):
    with RecordedFile(path) as file:
        camera = file.streams["camera"]
        np.testing.assert_array_equal(camera.missing("exposure"), LACKING)
        np.testing.assert_array_equal(np.delete(camera.values("exposure"), 2), [0.0, 0.5, 1.5, 2.0])
        np.testing.assert_array_equal(camera.values("image")[:, 0, 0], range(5))
        assert camera.missing("image") is None


@pytest.mark.parametrize("behind", [False, True])
def test_a_frame_may_lack_a_number(bench, tmp_path, behind):
    bench.open("camera")
    recording = bench.record(behind=behind)
    for n, lacks in enumerate(LACKING):
        image = np.full((3, 4), n, np.uint16)
        bench.writers["camera"].write_frame(START + n * STEP, image, None if lacks else n * 0.5)
    assert bench.end(recording)["state"] == "sealed"
    check(bench.file)
    recover(bench.journal, output=tmp_path / "again.h5")
    check(tmp_path / "again.h5")


@pytest.mark.parametrize("column", ["power", "value", "zeal"])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_a_column_that_is_linked_as_value_keeps_what_it_lacks(bench, ring_directory, column, dtype):
    spec = StreamSpec("meter", "rows", (Channel(column, dtype, "W"),), instrument="meter")
    bench.writers["meter"] = StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 20)
    recording = bench.record()
    for n, lacks in enumerate(LACKING):
        bench.writers["meter"].append(START + n * STEP, None if lacks else n)
    assert bench.end(recording)["state"] == "sealed"
    with RecordedFile(bench.file) as file:
        meter = file.streams["meter"]
        assert meter.spec == spec
        np.testing.assert_array_equal(meter.missing(column), LACKING)
