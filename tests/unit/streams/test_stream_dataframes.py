"""Windows as data frames of the real pandas and polars."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ringdaq.errors import MissingExtraError
from ringdaq.streams import StreamReader

TIMES = pd.DatetimeIndex(np.array([1, 2, 3], "M8[ns]"), tz="UTC", name="time")


@pytest.fixture
def rows(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    writer.append(1, 0.5, 1, True, "a")
    columns = {"power": [None, 3.0], "count": [2, None], "good": [False, None], "note": ["b", None]}
    writer.write_rows([2, 3], columns)
    return StreamReader.open(writer.path).snapshot()


@pytest.fixture
def samples(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    for number in range(2):
        writer.write_block(number * 6_000_000, np.arange(8, dtype=np.int32).reshape(2, 4) + number)
    return StreamReader.open(writer.path).snapshot()


@pytest.fixture
def images(make_writer, frames_spec):
    writer = make_writer(frames_spec)
    for number in range(3):
        writer.write_frame(number + 1, np.full((4, 6), number, np.uint16), number / 2)
    return StreamReader.open(writer.path).snapshot()


def test_rows_as_pandas(rows):
    frame = rows.to_pandas()
    assert frame.index.equals(TIMES)
    assert frame["power"].isna().tolist() == [False, True, False]
    assert frame["count"].tolist()[:2] == [1, 2]
    assert np.isnan(frame["count"].iloc[2])
    assert frame["good"].tolist() == [True, False, None]
    assert frame["note"].tolist()[:2] == ["a", "b"]
    assert frame.loc["1970-01-01", "power"].sum() == 3.5


def test_rows_as_polars(rows):
    frame = rows.to_polars()
    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame.drop("time").to_dict(as_series=False) == {
        "power": [0.5, None, 3.0],
        "count": [1, 2, None],
        "good": [True, False, None],
        "note": ["a", "b", None],
    }


def test_samples_have_a_column_a_channel(samples):
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [1, 2, 3, 4], [5, 6, 7, 8]]
    frame = samples.to_pandas()
    assert frame.columns.tolist() == ["c0", "c1", "c2", "c3"]
    assert frame.to_numpy().tolist() == expected
    assert frame.index.asi8.tolist() == samples.times().tolist()
    other = samples.to_polars()
    assert other.columns == ["time", "c0", "c1", "c2", "c3"]
    assert other.drop("time").to_numpy().tolist() == expected
    assert other["time"].dtype == pl.Datetime("ns", "UTC")
    assert other["time"].to_physical().to_list() == samples.times().tolist()


def test_images_are_cells(images):
    frame = images.to_pandas()
    assert frame.index.equals(TIMES)
    assert [image.shape for image in frame["image"]] == [(4, 6)] * 3
    assert [int(image.sum()) for image in frame["image"]] == [0, 24, 48]
    assert frame["exposure"].tolist() == [0.0, 0.5, 1.0]
    other = images.to_polars()
    assert other["exposure"].to_list() == [0.0, 0.5, 1.0]
    assert other["image"].to_numpy().sum(axis=1).tolist() == [0, 24, 48]


@pytest.mark.parametrize("spec", ["rows_spec", "samples_spec", "frames_spec"])
def test_an_empty_window_has_the_columns_all_the_same(make_writer, spec, request):
    window = StreamReader.open(make_writer(request.getfixturevalue(spec)).path).snapshot()
    names = [c.name for c in window._layout.spec.channels]
    assert window.to_pandas().columns.tolist() == names or spec == "frames_spec"
    assert window.to_polars().columns == ["time", *names]
    assert (len(window.to_pandas()), window.to_polars().height) == (0, 0)


def test_a_record_is_a_data_frame_too(rows):
    assert rows[-1].to_pandas()["power"].tolist()[1] == 3.0
    assert rows[-1].to_polars()["note"].to_list() == ["b", None]


def test_batches_come_one_by_one(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    for number in range(5):
        writer.append(number, number)
    reader = StreamReader.open(writer.path)
    with reader.view(since=0) as window:
        batches = window.to_arrow_reader()
        assert isinstance(batches, pa.RecordBatchReader)
        assert [batch.column("x").to_pylist() for batch in batches] == [[n] for n in range(5)]
        assert window.to_arrow_reader().read_all().equals(window.to_arrow())


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_without_the_package_a_message_names_the_extra(rows, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'ringdaq\[{package}\]'") as caught:
        getattr(rows, f"to_{package}")()
    assert caught.value.extra == package
