"""Others' tools take the files for what they are: NeXus, with something to plot."""

from __future__ import annotations

import logging

import h5py
import pytest

START = 1_700_000_000_000_000_000


@pytest.fixture
def file(bench):
    bench.open("stage", "meter", "eeg", "camera", "events")
    recording = bench.record()
    bench.produce(6)
    recording.step()
    report = bench.end(recording)
    assert report["state"] == "sealed", report
    return bench.file


class Told(logging.Handler):
    """Keeps what a validator says."""

    def __init__(self):
        super().__init__()
        self.errors = []

    def emit(self, record):
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage())


@pytest.mark.filterwarnings("ignore")
def test_a_nexus_validator_finds_nothing_wrong_but_the_odd_names(file, monkeypatch):
    from nexusformat.nexus import validate

    told = Told()
    monkeypatch.setattr(validate.logger, "handlers", [told])
    warnings, errors = validate.validate_file(str(file))
    assert warnings < 100  # our own attributes, which NeXus does not know
    odd = [error for error in told.errors if "is an invalid name" in error]
    assert len(odd) == 2  # the parameters "a/b" and "."
    assert errors == len(odd)


@pytest.mark.filterwarnings("ignore")
def test_the_nexus_library_plots_the_default(file):
    from nexusformat.nexus import nxload

    with nxload(str(file)) as root:
        plottable = root.plottable_data
        assert plottable.nxsignal.nxname == "meter"
        assert [axis.nxname for axis in plottable.nxaxes] == ["stage"]
        assert list(plottable.nxsignal.nxdata) == [n * 2.0 for n in range(6)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("path", "signal", "axes"),
    [
        ("/", "meter (W)", ["stage (mm)"]),
        ("/entry/eeg", "samples", ["time (ns)", None]),
        ("/entry/camera", "image", ["time (ns)", None, None]),
    ],
)
def test_silx_plots_the_default_and_each_stream_of_blocks(file, path, signal, axes):
    from silx.io import nxdata

    with h5py.File(file) as opened:
        found = nxdata.get_default(opened[path])
        assert found.is_valid, found.issues
        assert found.signal_name.startswith(signal)
        assert found.axes_names == axes
        assert found.signal.shape[0] == len(opened["entry/eeg/time"]) // (1 if "eeg" in path else 3)


@pytest.mark.filterwarnings("ignore")
def test_there_is_a_default_plot_before_the_first_row(bench):
    from silx.io import nxdata

    bench.open("stage", "meter")
    recording = bench.record()
    recording.step()
    with h5py.File(bench.file, locking=False) as opened:
        assert opened["entry/data"].attrs["signal"] == "meter"
        bench.produce(3)
    recording.step()
    with h5py.File(bench.file, locking=False) as opened:
        assert nxdata.get_default(opened).is_valid
