"""What a reader finds in a recorded file."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from ringdaq.errors import MissingExtraError, RecordingError
from ringdaq.recorder import describe_file, recover

START, STEP = 1_700_000_000_000_000_000, 10_000_000


@pytest.fixture
def sealed(bench):
    """A file with everything in it: 6 rows of events in one generation, 4 in the next."""
    bench.open("stage", "meter", "eeg", "camera", "events")
    recording = bench.record()
    bench.produce(6)
    recording.step()
    bench.writers["events"].close()
    events = bench.writers.pop("events")
    bench.open("more_events")
    bench.produce(4)
    bench.writers = {"events": events, **bench.writers}
    report = bench.end(recording)
    assert report["state"] == "sealed", report
    return bench


@pytest.fixture
def file(sealed):
    with h5py.File(sealed.file) as opened:
        yield opened


def test_rows_have_times_values_and_units(file):
    stage = file["entry/stage"]
    np.testing.assert_array_equal(stage["time"], START + np.arange(10) * STEP)
    np.testing.assert_array_equal(stage["position"], np.arange(10) * 0.1)
    assert stage["time"].dtype == np.int64
    assert stage["time"].attrs["epoch"] == "1970-01-01T00:00:00+00:00"
    assert stage["position"].attrs["units"] == "mm"
    assert stage.attrs["simulated"]
    assert not file["entry/meter"].attrs["simulated"]


def test_samples_are_the_digital_values_with_what_makes_them_physical(file):
    eeg = file["entry/eeg"]
    n = np.repeat(np.arange(10), 3)
    np.testing.assert_array_equal(eeg["samples"], np.stack([n, -n], axis=1))
    assert eeg["samples"].dtype == np.int16
    assert list(eeg["channel_name"].asstr()) == ["Fp1", "a/b"]
    assert list(eeg["channel_unit"].asstr()) == ["uV", "mV"]
    np.testing.assert_array_equal(eeg["channel_scale"], [0.1, 0.2])
    np.testing.assert_array_equal(eeg["channel_offset"], [-3.0, 0.0])
    assert eeg.attrs["sample_rate"] == "512/3"
    starts = START + np.arange(10) * STEP
    steps = [row * 10**9 * 3 // 512 for row in range(3)]
    np.testing.assert_array_equal(eeg["time"], (starts[:, None] + steps).ravel())


def test_frames_are_stacked_with_their_scalars(file):
    camera = file["entry/camera"]
    assert camera["image"].shape == (10, 3, 4)
    np.testing.assert_array_equal(camera["image"][:, 2, 1], np.arange(10))
    np.testing.assert_array_equal(camera["exposure"], np.arange(10) * 0.001)


def test_events_of_all_generations_are_columns_and_what_is_missing_is_said(file):
    events = file["entry/events"]
    missing = events["missing"]
    x = events["x"][:]
    np.testing.assert_array_equal(x[:6], np.arange(6) * 1.0)
    assert np.isnan(x[6:]).all()
    np.testing.assert_array_equal(missing["x"], [False] * 6 + [True] * 4)
    np.testing.assert_array_equal(missing["count"], [True] * 6 + [False] * 4)
    np.testing.assert_array_equal(events["count"][6:], np.arange(6, 10))
    np.testing.assert_array_equal(events["good"][6:], [False, True, False, True])
    texts = list(events["note"].asstr())
    assert texts == ["", "µ1", "", "µ3", "", "µ5", "µ6", "µ7", "µ8", "µ9"]
    np.testing.assert_array_equal(missing["note"], [True, False] * 3 + [False] * 4)


def test_the_tree_is_nexus(file):
    classes = {
        "/": "NXroot",
        "entry": "NXentry",
        "entry/data": "NXdata",
        "entry/instrument": "NXinstrument",
        "entry/instrument/stage": "NXpositioner",
        "entry/instrument/meter": "NXsensor",
        "entry/instrument/camera": "NXdetector",
        "entry/instrument/eeg": "NXsensor",
        "entry/user": "NXuser",
        "entry/process": "NXprocess",
        "entry/process/script": "NXnote",
        "entry/rig": "NXnote",
        "entry/stage": "NXlog",
        "entry/eeg": "NXdata",
    }
    assert {path: file[path].attrs["NX_class"] for path in classes} == classes
    assert file.attrs["default"] == "entry"
    assert file["entry"].attrs["default"] == "data"


def test_the_default_plot_is_the_meter_over_the_stage(file):
    data = file["entry/data"]
    signal, (axis,) = data.attrs["signal"], data.attrs["axes"]
    assert (signal, axis) == ("meter", "stage")
    np.testing.assert_array_equal(data[signal], np.arange(10) * 2.0)
    np.testing.assert_array_equal(data[axis], np.arange(10) * 0.1)
    assert data[axis].attrs["units"] == "mm"


def test_every_number_has_units(file):
    bare = []

    def look(name, node):
        numeric = isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf"
        if numeric and "units" not in node.attrs:
            bare.append(name)

    file.visititems(look)
    assert bare == []


def test_where_it_came_from_is_inside(file):
    entry = file["entry"]

    def text(path):
        return entry[path].asstr()[()]

    assert text("title") == "a scan"
    assert text("start_time") == "2023-11-14T22:13:20.000000+00:00"
    assert text("experiment_identifier") == "r1"
    assert text("user/name") == "ada"
    assert text("process/script/data") == "print('µ')\n"
    assert text("rig/data") == "[rig]\n"
    assert text("versions/ringdaq") == "0.1.0"
    assert text("metadata/grant") == '["stage"]'
    parameters = entry["process/parameters"]
    assert parameters["steps"][()] == 3
    assert parameters["a%2Fb"].attrs["name"] == "a/b"
    assert parameters["%2E"].attrs["name"] == "."
    stage = entry["instrument/stage"]
    assert (stage["settings/speed"][()], stage["settings_after/speed"][()]) == (1.5, 2.5)
    assert stage["settings/speed"].attrs["units"] == "mm/s"
    np.testing.assert_array_equal(stage["limits/position"], [0.0, 50.0])
    np.testing.assert_array_equal(stage["value"], entry["stage/position"])
    assert entry.attrs["state"] == "completed"
    assert entry.attrs["sealed"]


def test_the_counters_are_in_the_file(file):
    loss = file["entry/loss"]
    rows = dict(zip(loss["stream"].asstr(), loss["durable_rows"], strict=True))
    assert rows == {"stage": 10, "meter": 10, "eeg": 30, "camera": 10, "run.r1": 10}
    assert file["entry/eeg"].attrs["produced_rows"] == 30
    assert not loss["gap_rows"][:].any()


def test_a_description_of_the_file(sealed):
    found = describe_file(sealed.file)
    assert {name: one["rows"] for name, one in found["streams"].items()} == {
        "stage": 10,
        "meter": 10,
        "eeg": 30,
        "camera": 10,
        "events": 10,
    }
    assert (found["lost_rows"], found["gaps"], found["state"]) == (0, [], "completed")


def test_a_file_that_is_open_here_can_be_described(sealed, file):
    assert describe_file(sealed.file)["sealed"]


def test_without_h5py_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ringdaq\[record\]'"):
        describe_file(tmp_path / "x.h5")


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"cannot be read as a recording.*x\.h5"):
        describe_file(path)
    with pytest.raises(RecordingError, match="found no file"):
        describe_file(tmp_path / "missing.h5")


def test_the_journal_alone_gives_the_same_file(sealed, tmp_path):
    report = recover(sealed.journal, output=tmp_path / "again.h5")
    assert report.damage == []
    assert report.state == "completed"
    with h5py.File(sealed.file) as one, h5py.File(tmp_path / "again.h5") as other:
        assert contents(one) == contents(other)


def contents(file):
    """Everything in a file but its own name."""
    found = {}

    def look(name, node):
        value = np.ravel(node[()]) if isinstance(node, h5py.Dataset) else None
        if value is not None:
            value = value.tolist() if value.dtype == object else value.tobytes()
        attributes = {key: np.asarray(held).tolist() for key, held in node.attrs.items()}
        found[name] = (value, attributes)

    file.visititems(look)
    return found


READ = """
import h5py, sys
with h5py.File(sys.argv[1]) as file:
    print(int(file["entry/stage"].attrs["durable_rows"]), file["entry"].attrs["state"])
"""


def test_another_process_opens_the_file_plainly_while_it_grows(bench):
    bench.open("stage")
    recording = bench.record()
    recording.step()
    for rows in (0, 20):
        bench.produce(rows)
        recording.step()
        done = subprocess.run(
            [sys.executable, "-c", READ, bench.file], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [str(rows), "recording"]


@pytest.mark.parametrize(
    ("streams", "signal", "axes"),
    [
        (["stage", "eeg"], "eeg", ["time", "."]),
        (["camera"], "camera", ["time", ".", "."]),
        (["camera", "meter"], "meter", ["time"]),
        (["stage"], "stage", ["time"]),
    ],
)
def test_the_default_plot_shows_what_there_is(bench, streams, signal, axes):
    bench.open(*streams)
    recording = bench.record()
    while recording.step():
        pass
    with h5py.File(bench.file, locking=False) as file:
        data = file["entry/data"]
        assert data.attrs["signal"] == signal
        assert list(data.attrs["axes"]) == axes
        assert data[signal].shape[0] == len(data["time"]) == 0


def test_a_short_recording_takes_little_room_on_the_disk(bench):
    bench.open("stage", "meter", "events")
    recording = bench.record()
    bench.produce(40)
    bench.end(recording)
    found = bench.file.stat()
    assert found.st_blocks * 512 < found.st_size / 3
