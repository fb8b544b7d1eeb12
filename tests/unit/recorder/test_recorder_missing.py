"""A value that is missing is missing wherever it is kept, and costs nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from recorder_bench import START, STEP

from ringdaq.recorder import recover
from ringdaq.recorder.readback import RecordedFile

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
