"""What a format cannot hold is told, or refused by name: no other numbers, and no raw error."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import edfio
import numpy as np
import pytest
from recorder_bench import PRODUCE, SPECS, START, STEP, Bench

from ringdaq.edf import EdfHeader, write_edf_file
from ringdaq.errors import RecordingError
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.export import export

HEADER = EdfHeader(Fraction(250), datetime(2026, 3, 1, tzinfo=UTC), "amp", "note")
ROWS = 500


def written(path, channel, values):
    """What writing told, and the values that another program reads."""
    told = write_edf_file(path, HEADER, (channel,), values[:, None])
    read = edfio.read_edf if path.suffix == ".edf" else edfio.read_bdf
    return told, read(path).signals[0].data


def integers(dtype, low, high):
    return np.random.default_rng(0).integers(low, high, ROWS).astype(dtype)


@pytest.mark.parametrize(
    ("suffix", "channel", "low", "high"),
    [
        ("bdf", Channel("c", "int32", "uV", scale=0.022351744455307), -8_000_000, 8_000_000),
        ("bdf", Channel("c", "int32", "V", scale=2.2351744455307e-08), -8_000_000, 8_000_000),
        ("edf", Channel("c", "int16", "V", scale=1.95e-7), -32_768, 32_767),
        ("edf", Channel("c", "int16", "V", scale=-1.95e-7, offset=1e-9), -32_768, 32_767),
    ],
)
def test_a_calibration_that_does_not_fit_is_told(tmp_path, suffix, channel, low, high):
    stored = integers(channel.dtype, low, high)
    told, read = written(tmp_path / f"x.{suffix}", channel, stored)
    off = np.abs(read - (stored * channel.scale + channel.offset)).max()
    assert off > abs(channel.scale) / 2
    assert off <= told.shifted["c"]
    assert told.rounded == []


@pytest.mark.parametrize(
    "channel",
    [
        Channel("c", "int16", "uV", scale=0.1, offset=-3.0),
        Channel("c", "int16", "uV", scale=-0.25),
        Channel("c", "int16"),
    ],
)
def test_a_calibration_that_fits_is_no_news(tmp_path, channel):
    told, _ = written(tmp_path / "x.edf", channel, integers("int16", -3000, 3000))
    assert told.shifted == {}


NOISE = np.random.default_rng(0).normal(size=ROWS)


@pytest.mark.parametrize(
    ("channel", "values"),
    [
        (Channel("odd one", "float64", "uV"), np.where(np.arange(ROWS) == 3, np.nan, NOISE)),
        (Channel("odd one", "float32", "uV"), np.full(ROWS, np.inf, np.float32)),
        (Channel("odd one", "float64", "uV"), NOISE * 1e12),
        (Channel("odd one", "int16", "uV", scale=0.0), np.arange(ROWS, dtype=np.int16)),
        (Channel("odd one", "int64"), np.full(ROWS, 2**62)),
    ],
)
@pytest.mark.parametrize("suffix", ["edf", "bdf"])
def test_values_without_a_place_are_refused_by_their_channel(tmp_path, channel, values, suffix):
    with pytest.raises(RecordingError, match=r"'odd one'.*Parquet"):
        written(tmp_path / f"x.{suffix}", channel, values)


@pytest.fixture
def record(ring_directory, tmp_path, monkeypatch):
    """Records streams of ten records, each of what `PRODUCE` says."""

    def recorded(*streams):
        bench = Bench(ring_directory, tmp_path)
        for spec, produce in streams:
            monkeypatch.setitem(SPECS, spec.name, spec)
            monkeypatch.setitem(PRODUCE, spec.name, produce)
        bench.open(*(spec.name for spec, _ in streams))
        recording = bench.record()
        bench.produce(10)
        assert bench.end(recording)["state"] == "sealed"
        bench.close()
        return bench.file

    return recorded


def samples(name, first=0, *, gap=None, **facts):
    """A stream of samples at 100 Hz, one record of which may be missing."""
    channel = Channel("Fp1", facts.pop("dtype", "int16"), "uV", **facts)
    spec = StreamSpec(name, "samples", (channel,), sample_rate=Fraction(100))

    def produce(writer, nanos, n):
        if n == gap:
            return
        rows = (first + 100 * n + np.arange(100)).astype(channel.dtype)
        writer.write_block(START + n * 100 * STEP, rows[:, None])

    return spec, produce


def test_an_export_says_that_the_calibration_changed(record, tmp_path):
    file = record(samples("eeg", dtype="int32", scale=0.022351744455307))
    told = export(file, "bdf", tmp_path / "out").left_out
    assert any("calibration of eeg/Fp1" in words and words.endswith(" uV") for words in told)


def test_streams_whose_names_are_alike_stay_apart_in_bids(record, tmp_path):
    file = record(samples("eeg.1"), samples("eeg_1", 5000), samples("EEG1", 10_000))
    done = export(file, "bids", tmp_path / "out")
    headers = [path.name for path in done.files if path.suffix == ".vhdr"]
    assert sorted(name.split("_")[2] for name in headers) == [
        "acq-EEG1",
        "acq-eeg1x2",
        "acq-eeg1x3",
    ]
    assert len({*done.files}) == len(done.files)
    assert sum("the name " in words for words in done.left_out) == 2


@pytest.mark.parametrize("to", ["edf", "brainvision"])
def test_no_stretch_is_written_over_another(record, tmp_path, to):
    file = record(samples("eeg", gap=5), samples("eeg_001", 5000))
    with pytest.raises(RecordingError, match="one by one"):
        export(file, to, tmp_path / "out")


def test_what_is_lost_in_every_stretch_is_told_once(record, tmp_path):
    file = record(samples("eeg", gap=5, dtype="float32"))
    done = export(file, "edf", tmp_path / "out")
    assert sum("digits of eeg/Fp1" in words for words in done.left_out) == 1


@pytest.mark.parametrize("names", [("..",), ("zarr.json",), ("a/b", "a_b")])
def test_zarr_refuses_names_that_it_has_no_place_for(record, tmp_path, names):
    spec = StreamSpec("odd", "rows", tuple(Channel(name, "float64") for name in names))
    file = record((spec, lambda w, t, n: w.append(t, *[float(n)] * len(names))))
    with pytest.raises(RecordingError, match=f"{names[-1]!r} of 'odd'"):
        export(file, "zarr", tmp_path / "out")
    assert not (tmp_path / "out").exists()
