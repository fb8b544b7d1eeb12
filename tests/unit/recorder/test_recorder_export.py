"""Each export is read back by a reader that is not ours."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from recorder_bench import SPECS, START, STEP

from ringdaq.errors import BadRequestError, RecordingError
from ringdaq.recorder.export import FORMATS, export
from ringdaq.recorder.readback import RecordedFile

ROWS = 60
# Channels and rates that EEG formats take; 100 Hz, blocks of 10 rows.
BLOCK = 10


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A sealed recording of rows, frames and samples; its samples have a gap in the middle."""
    from fractions import Fraction

    from recorder_bench import PRODUCE, Bench

    from ringdaq.model import Channel, StreamSpec

    place = tmp_path_factory.mktemp("recorded")
    before = dict(SPECS), dict(PRODUCE)
    SPECS["eeg"] = StreamSpec(
        "eeg",
        "samples",
        (
            Channel("Fp1", "int16", "uV", scale=0.1, offset=-3.0, description="left"),
            Channel("Cz", "int16", "uV", scale=0.25),
        ),
        sample_rate=Fraction(100),
        instrument="eeg",
        simulated=True,
    )

    def samples(writer, nanos, n):
        if n not in (30, 31):
            writer.write_block(START + n * BLOCK * STEP, eeg_block(n))

    PRODUCE["eeg"] = samples
    bench = Bench(tmp_path_factory.mktemp("rings"), place)
    try:
        bench.open("stage", "events", "eeg", "camera")
        recording = bench.record()
        bench.produce(ROWS)
        assert bench.end(recording)["state"] == "sealed"
    finally:
        bench.close()
        SPECS.update(before[0])
        PRODUCE.update(before[1])
    return bench.file


def eeg_block(n):
    rows = n * BLOCK + np.arange(BLOCK)
    return np.stack([rows, -rows], axis=1).astype(np.int16)


BEFORE, AFTER = np.arange(300), np.arange(320, 600)
STRETCHES = {"eeg_001": BEFORE, "eeg_002": AFTER}


def physical(rows, channel):
    return rows * 0.1 - 3.0 if channel == 0 else -rows * 0.25


@pytest.fixture
def write(recorded, tmp_path):
    def written(to, **options):
        return tmp_path / to, export(recorded, to, tmp_path / to, **options)

    return written


def test_readback_tells_what_was_recorded(recorded):
    with RecordedFile(recorded) as file:
        assert file.streams["eeg"].spec.channels[0].offset == -3.0
        assert file.streams["eeg"].spec.simulated
        assert file.streams["camera"].spec.channels[0].shape == (3, 4)
        about = file.about()
        assert about["script"]["parameters"]["a/b"] == "odd"
        assert about["script"]["parameters"]["list"] == [1, 2]
        assert about["instruments"]["stage"]["limits"] == {"position": [0.0, 50.0]}
        assert about["instruments"]["stage"]["settings_after"]["speed"]["value"] == 2.5
        assert about["started_nanos"] == START
        times = file.streams["stage"].times()
        assert file.streams["stage"].find(int(times[7])) == 7
        assert file.streams["stage"].find(int(times[7]) + 1) == 8


@pytest.mark.parametrize("to", ["parquet", "arrow"])
def test_tables(write, to):
    import duckdb
    import polars

    folder, done = write(to)
    path = folder / f"eeg.{to}"
    read = polars.read_parquet if to == "parquet" else polars.read_ipc
    table = read(path)
    assert table["Fp1"].to_list() == [*BEFORE, *AFTER]
    stamps = table["time"].to_physical().to_list()
    assert stamps == [START + row * STEP for row in (*BEFORE, *AFTER)]
    if to == "parquet":
        [(least,)] = duckdb.sql(f"SELECT min(Cz) FROM '{path}'").fetchall()
        assert least == -599
        camera = duckdb.sql(f"SELECT image FROM '{folder / 'camera.parquet'}'").fetchall()
        assert [row[0][0] for row in camera] == [*range(ROWS)]
    notes = read(folder / f"events.{to}")["note"].to_list()
    assert notes[:4] == [None, "µ1", None, "µ3"]
    about = json.loads((folder / "about.json").read_text())
    assert about["script"]["name"] == "scan.py"
    assert about["streams"]["eeg"]["channels"][0]["unit"] == "uV"
    assert done.left_out == []


def test_units_and_provenance_are_in_the_schema(write):
    import pyarrow.parquet

    folder, _ = write("parquet", streams=["eeg"])
    schema = pyarrow.parquet.read_schema(folder / "eeg.parquet")
    assert schema.field("Fp1").metadata[b"unit"] == b"uV"
    assert float(schema.field("Fp1").metadata[b"scale"]) == 0.1
    assert json.loads(schema.metadata[b"ringdaq.run"])["recording_id"] == "r1"
    assert not (folder / "stage.parquet").exists()


def test_csv(write):
    import pandas

    folder, done = write("csv")
    table = pandas.read_csv(folder / "eeg.csv")
    assert [*table.columns] == ["time_nanos", "Fp1 [uV]", "Cz [uV]"]
    assert np.allclose(table["Fp1 [uV]"], physical(np.r_[BEFORE, AFTER], 0))
    with (folder / "events.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["note"] for row in rows[:4]] == ["", "µ1", "", "µ3"]
    assert any("camera/image" in words for words in done.left_out)
    assert (folder / "gaps.csv").read_text().startswith("stream,")


def test_zarr(write):
    import zarr

    folder, done = write("zarr")
    root = zarr.open_group(str(folder / "run.zarr"), mode="r")
    assert np.array_equal(root["eeg/samples"][:, 0], np.r_[BEFORE, AFTER])
    assert root["eeg/samples"].attrs["scale"] == [0.1, 0.25]
    assert root["camera/image"].shape == (ROWS, 3, 4)
    assert root["stage/position"].attrs["units"] == "mm"
    assert json.loads(root.attrs["run"])["user"] == "ada"
    assert any("note" in words for words in done.left_out)


@pytest.mark.parametrize("to", ["edf", "bdf"])
def test_edf_and_bdf(write, to):
    import pyedflib

    folder, done = write(to)
    for name, rows in STRETCHES.items():
        with pyedflib.EdfReader(str(folder / f"{name}.{to}")) as file:
            assert file.getSignalLabels() == ["Fp1", "Cz"]
            assert file.getSampleFrequency(0) == 100
            assert file.getPhysicalDimension(1) == "uV"
            began = datetime.fromtimestamp((START + int(rows[0]) * STEP) / 1e9, UTC)
            assert abs((file.getStartdatetime() - began.replace(tzinfo=None)).total_seconds()) < 1
            assert np.array_equal(file.readSignal(0, digital=True), rows)
            # The header has eight characters for a number.
            assert np.allclose(file.readSignal(0), physical(rows, 0), atol=2e-2)
    assert any("1 gaps of eeg" in words for words in done.left_out)
    assert any("the stream stage" in words for words in done.left_out)


def test_brainvision(write):
    from neo.rawio import BrainVisionRawIO

    folder, _ = write("brainvision")
    for name, rows in STRETCHES.items():
        reader = BrainVisionRawIO(str(folder / f"{name}.vhdr"))
        reader.parse_header()
        channels = reader.header["signal_channels"]
        assert [*channels["name"]] == ["Fp1", "Cz"]
        assert set(channels["units"]) <= {"µV", "uV", "μV"}
        raw = reader.get_analogsignal_chunk(block_index=0, seg_index=0, stream_index=0)
        values = reader.rescale_signal_raw_to_float(raw, dtype="float64", stream_index=0)
        for channel in (0, 1):
            assert np.allclose(values[:, channel], physical(rows, channel), atol=1e-3)


def test_bids(write):
    import pandas
    from bids_validator import BIDSValidator
    from neo.rawio import BrainVisionRawIO

    folder, done = write("bids")
    paths = ["/" + str(path.relative_to(folder)) for path in done.files]
    validator = BIDSValidator()
    wrong = [p for p in paths if not p.startswith("/sourcedata/") and not validator.is_bids(p)]
    assert wrong == []
    assert all(path.is_file() for path in done.files)
    eeg = folder / "sub-01" / "eeg"
    [first, second] = sorted(eeg.glob("*_eeg.json"))
    assert json.loads(first.read_text())["SamplingFrequency"] == 100
    assert json.loads(second.read_text())["RecordingDuration"] == 2.8
    channels = pandas.read_csv(next(eeg.glob("*run-01_channels.tsv")), sep="\t")
    assert channels["units"].to_list() == ["uV", "uV"]
    reader = BrainVisionRawIO(str(next(eeg.glob("*run-02_eeg.vhdr"))))
    reader.parse_header()
    assert reader.get_signal_size(0, 0, 0) == 280
    assert json.loads((folder / "dataset_description.json").read_text())["BIDSVersion"]


def test_mat(write):
    from scipy.io import loadmat

    folder, _ = write("mat")
    found = loadmat(folder / "run.mat", simplify_cells=True)
    assert np.array_equal(found["eeg"]["samples"][:, 1], -np.r_[BEFORE, AFTER])
    assert found["eeg"]["time"].dtype == np.int64
    assert found["eeg"]["time"][301] == START + 321 * STEP
    assert [*found["eeg"]["units"]] == ["uV", "uV"]
    assert found["camera"]["image"].shape == (ROWS, 3, 4)
    assert found["stage"]["position_units"] == "mm"
    assert json.loads(found["run"])["recording_id"] == "r1"


def test_what_makes_no_sense_is_refused(recorded, tmp_path):
    with pytest.raises(BadRequestError, match="format"):
        export(recorded, "xls", tmp_path / "x")
    with pytest.raises(BadRequestError, match="no stream"):
        export(recorded, "csv", tmp_path / "x", streams=["nothing"])
    with pytest.raises(RecordingError, match="steady rate"):
        export(recorded, "edf", tmp_path / "x", streams=["stage"])
    (tmp_path / "there").mkdir()
    with pytest.raises(BadRequestError, match="new directory"):
        export(recorded, "csv", tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_knows_the_formats():
    from ringdaq.cli.export import FORMATS as OFFERED

    assert tuple(FORMATS) == OFFERED
