"""Records for the rest of the Arrow world."""

import subprocess
import sys

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from ringdaq.streams import StreamReader


@pytest.fixture
def reader(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    writer.append(1, 0.5, 1, True, "a")
    writer.write_rows(
        [2, 3, 4],
        {
            "power": [1, None, 3],
            "count": [2, 3, None],
            "good": [None, True, False],
            "note": ["b", "", None],
        },
    )
    return StreamReader.open(writer.path)


EXPECTED = {
    "power": [0.5, 1.0, None, 3.0],
    "count": [1, 2, 3, None],
    "good": [True, None, True, False],
    "note": ["a", "b", "", None],
}


def test_the_schema_is_complete(reader, rows_spec):
    schema = reader.latest().to_arrow().schema
    assert schema == pa.ipc.read_schema(pa.py_buffer(reader.schema_ipc))
    assert schema.field("time").type == pa.timestamp("ns", tz="UTC")
    assert not schema.field("time").nullable
    power = schema.field("power")
    assert power.nullable
    assert power.metadata == {
        b"unit": b"mW",
        b"scale": b"2.0",
        b"offset": b"0.0",
        b"description": b"of the spot",
    }


def test_to_arrow_and_the_capsules_agree(reader):
    for record in reader.window(1):
        batch = pa.record_batch(record)
        batch.validate(full=True)
        assert batch.equals(record.to_arrow())
        assert batch.schema.equals(record.to_arrow().schema, check_metadata=True)
    window = reader.window(1)
    table = pa.table(window)
    table.validate(full=True)
    assert table.equals(window.to_arrow())
    assert table.drop_columns("time").to_pydict() == EXPECTED


def test_polars_and_duckdb_take_it(reader):
    window = reader.window(1)
    assert pl.DataFrame(window).drop("time").to_dict(as_series=False) == EXPECTED
    with duckdb.connect() as connection:
        connection.register("rows", pa.table(window))
        assert connection.execute("select sum(power) from rows").fetchall() == [(4.5,)]
    record = reader.latest()
    assert pl.DataFrame(record).height == record.rows


def test_frames_are_tensors(make_writer, frames_spec):
    writer = make_writer(frames_spec)
    image = np.arange(24, dtype=np.uint16).reshape(4, 6)
    writer.write_frame(0, image, 1.0)
    record = StreamReader.open(writer.path).latest()
    for batch in (record.to_arrow(), pa.record_batch(record)):
        assert isinstance(batch.schema.field("image").type, pa.FixedShapeTensorType)
        assert (batch.column("image").to_numpy_ndarray()[0] == image).all()


def test_capsules_outlive_record_and_reader(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    writer.write_block(0, np.arange(400, dtype=np.int32).reshape(100, 4))
    reader = StreamReader.open(writer.path)
    with reader.view() as record:
        batch = pa.record_batch(record)
    del record, reader
    assert batch.column(0).flatten().to_numpy().tolist() == list(range(400))


def test_an_empty_window_has_a_schema(make_writer, scalar_spec):
    reader = StreamReader.open(make_writer(scalar_spec).path)
    assert pa.table(reader.window(1)).schema.names == ["time", "x"]
    assert reader.window(1).to_arrow().num_rows == 0
    assert reader.window(1).times().tolist() == []


def test_reading_needs_no_pyarrow(reader):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from ringdaq.errors import MissingExtraError\n"
        "from ringdaq.streams import StreamReader\n"
        "record = StreamReader.open(Path(sys.argv[1])).latest()\n"
        "record.columns(), record.__arrow_c_array__()\n"
        "try: record.to_arrow()\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(reader.path)], capture_output=True, text=True, check=True
    )
    assert "pip install 'ringdaq[arrow]'" in done.stdout
