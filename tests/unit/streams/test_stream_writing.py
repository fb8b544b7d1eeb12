"""What goes into a ring comes out of it, or is refused in words."""

import gc
import math

import numpy as np
import pytest

from ringdaq.errors import ClosedStreamError, RingSpaceError, StreamError
from ringdaq.model import NUMERIC_DTYPES, Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter


def test_a_row_comes_back(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    assert writer.append(5, 1.5, -3, True, "hé") == 0
    with StreamReader.open(writer.path) as reader:
        assert reader.spec == rows_spec
        record = reader.read(0)
        assert (record.rows, record.first_nanos, record.last_nanos, record.first_row) == (
            1,
            5,
            5,
            0,
        )
        columns = record.columns()
        assert list(columns) == ["time", "power", "count", "good", "note"]
        assert [c.tolist() for c in columns.values()] == [[5], [1.5], [-3], [True], ["hé"]]
        assert columns["count"].dtype == np.int16
        assert record.masks() == {}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((), "needs 1 values; found 0"),
        ((5,), "needs 1 values; found 0"),
        ((5, 1, 2), "needs 1 values; found 2"),
        (("now", 1), "a row's time: 'str' object"),
        ((1.5, 1), "a row's time: 'float' object"),
        ((2**63, 1), "a row's time: "),
        ((5, "one"), 'channel "x"'),
    ],
)
def test_a_row_that_is_none_is_refused_and_leaves_nothing(make_writer, scalar_spec, row, words):
    writer = make_writer(scalar_spec)
    assert writer.append(4, 0) == 0
    with pytest.raises(StreamError, match=words):
        writer.append(*row)
    assert writer.append(6, 1) == 1
    assert writer.statistics().rows == 2


def test_any_integer_is_a_time(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    writer.append(np.int64(2**62 + 1), 7)
    assert StreamReader.open(writer.path).read(0).last_nanos == 2**62 + 1


def test_a_writer_is_gone_when_nobody_has_it(tmp_path, scalar_spec):
    writer = StreamWriter.create(tmp_path, scalar_spec, capacity_bytes=1 << 16)
    append = writer.append
    with StreamReader.open(writer.path) as reader:
        gc.disable()
        try:
            del writer
            append(1, 1)
            assert reader.writer_alive
            del append
            assert not reader.writer_alive
        finally:
            gc.enable()
        assert reader.read(0).columns()["x"].tolist() == [1]


def test_missing_values_are_marked_and_floats_are_nan(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    writer.append(5, None, None, None, None)
    record = StreamReader.open(writer.path).read(0)
    assert {name: mask.tolist() for name, mask in record.masks().items()} == {
        "power": [True], "count": [True], "good": [True], "note": [True],
    }  # fmt: skip
    columns = record.columns()
    assert math.isnan(columns["power"][0])
    assert columns["note"][0] is None


def test_rows_come_back(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    columns = {
        "power": [1, None, 3.5],
        "count": np.ma.MaskedArray([1, 2, 3], [False, False, True], dtype=np.int64),
        "good": [True, None, False],
        "note": ["", None, "c" * 1000],
    }
    assert writer.write_rows([7, 8, 9], columns) == 0
    record = StreamReader.open(writer.path).read(0)
    assert (record.rows, record.first_nanos, record.last_nanos) == (3, 7, 9)
    found = record.columns()
    assert found["power"][[0, 2]].tolist() == [1, 3.5]
    assert found["count"][:2].tolist() == [1, 2]
    assert found["good"][[0, 2]].tolist() == [True, False]
    assert found["note"].tolist() == ["", None, "c" * 1000]
    assert record.times().tolist() == [7, 8, 9]
    assert {name: mask.tolist() for name, mask in record.masks().items()} == {
        "power": [False, True, False],
        "count": [False, False, True],
        "good": [False, True, False],
        "note": [False, True, False],
    }


@pytest.mark.parametrize("dtype", NUMERIC_DTYPES)
def test_every_number_type_keeps_its_extremes(make_writer, dtype):
    writer = make_writer(StreamSpec(f"s-{dtype}", "rows", (Channel("x", dtype),)))
    limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    values = np.array([limits.min, limits.max], dtype)
    for value in values:
        writer.append(0, value.item())
    writer.write_rows([0, 1], {"x": values})
    reader = StreamReader.open(writer.path)
    assert [reader.read(i).columns()["x"][0] for i in range(2)] == values.tolist()
    assert (reader.read(2).columns()["x"] == values).all()


def test_numpy_scalars_are_taken(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    writer.append(0, np.float32(0.5), np.int64(7), np.bool_(True), "x")
    columns = StreamReader.open(writer.path).read(0).columns()
    assert (columns["power"][0], columns["count"][0], columns["good"][0]) == (0.5, 7, True)


def test_a_block_comes_back_with_exact_times(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    block = np.arange(4000, dtype=np.int32).reshape(1000, 4)
    writer.write_block(10**18, block)
    record = StreamReader.open(writer.path).read(0)
    assert (record.columns()["samples"] == block).all()
    exact = [10**18 + i * 3 * 10**9 // 1000 for i in range(1000)]
    assert record.times().tolist() == exact
    assert record.last_nanos == exact[-1]


def test_a_block_that_is_not_contiguous_is_copied(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    wide = np.arange(80, dtype=np.int32).reshape(10, 8)
    writer.write_block(0, wide[:, ::2])
    found = StreamReader.open(writer.path).read(0).columns()["samples"]
    assert (found == wide[:, ::2]).all()


def test_a_large_block_comes_back(make_writer, samples_spec):
    writer = make_writer(samples_spec, 8 << 20)
    block = np.random.default_rng(1).integers(-(2**31), 2**31, (100_000, 4), dtype=np.int32)
    writer.write_block(0, block)
    assert (StreamReader.open(writer.path).read(0).columns()["samples"] == block).all()


def test_a_frame_comes_back(make_writer, frames_spec):
    writer = make_writer(frames_spec)
    image = np.arange(24, dtype=np.uint16).reshape(4, 6)
    writer.write_frame(77, image, 0.25)
    writer.write_frame(78, image[::-1], None)
    reader = StreamReader.open(writer.path)
    columns = reader.read(0).columns()
    assert columns["image"].shape == (1, 4, 6)
    assert (columns["image"][0] == image).all()
    assert columns["exposure"].tolist() == [0.25]
    assert (reader.read(1).columns()["image"][0] == image[::-1]).all()
    assert reader.read(1).masks()["exposure"].tolist() == [True]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1.0, 40000, True, "x"), "count"),
        ((1.0, 1, True), "4 values"),
        (("a", 1, True, "x"), "power"),
        ((1.0, 1.5, True, "x"), "count"),
        ((1.0, 1, "yes", "x"), "good"),
        ((1.0, 1, True, 5), "note"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_leaves_nothing(
    make_writer, rows_spec, values, words
):
    writer = make_writer(rows_spec)
    with pytest.raises(StreamError, match=words):
        writer.append(0, *values)
    assert writer.statistics().records == 0


def test_a_time_beyond_int64_is_refused(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    with pytest.raises(StreamError):
        writer.append(1 << 63, 1)
    with pytest.raises(StreamError):
        writer.append(1.5, 1)


@pytest.mark.parametrize(
    ("times", "columns", "words"),
    [
        ([], {"x": []}, "at least one"),
        ([0.5], {"x": [1]}, "integer"),
        ([0], {"y": [1]}, "columns"),
        ([0], {"x": [1, 2]}, "1 values"),
        ([0], {"x": [1 << 70]}, "int64"),
        ([0], {"x": [0.5]}, "int64"),
        ([0], {"x": [float("nan")]}, "int64"),
        ([0], {"x": ["1"]}, "int64"),
        ([0], {"x": [True]}, "int64"),
        ([0], {"x": [[1]]}, "one column"),
    ],
)
def test_rows_that_do_not_fit_are_refused(make_writer, scalar_spec, times, columns, words):
    writer = make_writer(scalar_spec)
    with pytest.raises(StreamError, match=words):
        writer.write_rows(times, columns)
    assert writer.statistics().records == 0


@pytest.mark.parametrize(
    "block",
    [
        np.zeros((2, 4), np.int16),
        np.zeros((2, 3), np.int32),
        np.zeros(4, np.int32),
        np.zeros((0, 4), np.int32),
    ],
)
def test_a_block_of_another_shape_or_type_is_refused(make_writer, samples_spec, block):
    with pytest.raises(StreamError, match=r"int32 of shape \(rows, 4\)"):
        make_writer(samples_spec).write_block(0, block)


def test_the_wrong_verb_is_refused(make_writer, rows_spec, samples_spec, frames_spec):
    with pytest.raises(StreamError, match="stream of samples"):
        make_writer(rows_spec).write_block(0, np.zeros((1, 4), np.int32))
    with pytest.raises(StreamError, match="stream of rows"):
        make_writer(samples_spec).write_rows([0], {})
    with pytest.raises(StreamError, match="image"):
        make_writer(frames_spec).write_frame(0, np.zeros((3, 6), np.uint16), 1.0)
    with pytest.raises(StreamError):
        make_writer(frames_spec).append(0, 1, 2)


def test_a_float_that_would_become_infinite_is_refused(make_writer):
    writer = make_writer(StreamSpec("f", "rows", (Channel("x", "float32"),)))
    with pytest.raises(StreamError, match="float32"):
        writer.append(0, 1e300)
    with pytest.raises(StreamError, match="float32"):
        writer.write_rows([0], {"x": [1e300]})
    writer.append(0, float("inf"))


def test_a_record_longer_than_the_ring_is_refused(make_writer, samples_spec):
    writer = make_writer(samples_spec, 4096)
    with pytest.raises(RingSpaceError, match="4096"):
        writer.write_block(0, np.zeros((1000, 4), np.int32))
    assert writer.write_block(0, np.zeros((10, 4), np.int32)) == 0


def test_after_closing_nothing_is_written(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    writer.append(0, 1)
    writer.close()
    writer.close()
    assert writer.closed
    with pytest.raises(ClosedStreamError):
        writer.append(0, 1)
    with pytest.raises(ClosedStreamError):
        writer.write_rows([0], {"x": [1]})
    assert writer.statistics().closed


def test_threads_may_share_a_writer(make_writer, scalar_spec):
    from concurrent.futures import ThreadPoolExecutor

    writer = make_writer(scalar_spec, 8 << 20)
    with ThreadPoolExecutor(4) as pool:
        sequences = list(pool.map(lambda i: (writer.append(i, i), i), range(2000)))
    reader = StreamReader.open(writer.path)
    assert sorted(s for s, _ in sequences) == list(range(2000))
    assert all(reader.read(s).columns()["x"][0] == i for s, i in sequences)
