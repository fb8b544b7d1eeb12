"""Windows by length and by moments, over a wrap and over generations; everything that is left."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from ringdaq.errors import ClosedStreamError, OverrunError, StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter, attach

SECOND = 1_000_000_000


def create(directory, spec, capacity_bytes=1 << 16):
    return StreamWriter.create(directory, spec, capacity_bytes=capacity_bytes)


def fill(writer, numbers):
    """A record of one row a second, whose value is its time."""
    for number in numbers:
        writer.append(number * SECOND, number)


def values(window):
    return window.columns().get("x", np.empty(0)).tolist()


@pytest.fixture
def reader(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    fill(writer, range(10))
    return StreamReader.open(writer.path)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"seconds": 2}, [7, 8, 9]),
        ({"seconds": 0}, [9]),
        ({"seconds": 1e6}, list(range(10))),
        ({"since": 7 * SECOND}, [7, 8, 9]),
        ({"since": 7 * SECOND + 1}, [8, 9]),
        ({"until": 3 * SECOND}, [0, 1, 2]),
        ({"since": 3 * SECOND, "until": 5 * SECOND}, [3, 4]),
        ({"since": 5 * SECOND, "until": 3 * SECOND}, []),
        ({"since": 3 * SECOND, "seconds": 2}, [3, 4]),
        ({"until": 5 * SECOND, "seconds": 2}, [3, 4]),
        ({"since": 100 * SECOND}, []),
        ({"until": -SECOND}, []),
        ({"since": datetime.fromtimestamp(8, UTC)}, [8, 9]),
        ({"since": np.datetime64(8, "s"), "until": np.datetime64(9_000, "ms")}, [8]),
    ],
)
def test_a_window_is_what_was_asked_for(reader, asked, expected):
    assert values(reader.window(**asked)) == expected
    in_place = {"window_secs" if key == "seconds" else key: v for key, v in asked.items()}
    with reader.view(**in_place) as window:
        assert values(window) == expected


def test_a_time_zone_is_that_of_the_datetime(reader):
    moment = datetime(1970, 1, 1, 2, 0, 8, tzinfo=timezone(timedelta(hours=2)))
    assert values(reader.window(since=moment)) == [8, 9]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "snapshot"),
        ({"seconds": -1}, "0 or more"),
        ({"seconds": float("nan")}, "0 or more"),
        ({"seconds": float("inf")}, "0 or more"),
        ({"seconds": 1, "since": 0, "until": 1}, "two of"),
        ({"since": datetime(2024, 1, 1)}, "time zone"),
        ({"since": "yesterday"}, "yesterday"),
        ({"until": 1.5}, "1.5"),
        ({"since": np.datetime64("NaT")}, "NaT"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(reader, asked, said):
    with pytest.raises(StreamError, match=said):
        reader.window(**asked)


def test_a_record_with_some_rows_inside_is_in_the_window(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    for number in range(4):
        # 100 rows at 1000/3 Hz: 0 to 297 ms.
        writer.write_block(number * 300_000_000, np.full((100, 4), number, np.int32))
    reader = StreamReader.open(writer.path)
    window = reader.window(since=450_000_000, until=901_000_000)
    assert [record.sequence for record in window] == [1, 2, 3]
    assert [record.sequence for record in reader.window(since=0, until=900_000_000)] == [0, 1, 2]


def test_a_snapshot_holds_everything_that_is_left_over_the_wrap(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, capacity_bytes=4096)
    fill(writer, range(100))
    reader = StreamReader.open(writer.path)
    oldest = reader.statistics().oldest_sequence
    assert 0 < oldest < 100
    window = reader.snapshot()
    assert values(window) == list(range(oldest, 100))
    assert window.rows == len(window) == 100 - oldest
    assert window.generations == (writer.generation,)
    assert window.gaps == ()


def test_an_empty_ring_has_empty_windows(make_writer, scalar_spec):
    reader = StreamReader.open(make_writer(scalar_spec).path)
    assert len(reader.snapshot()) == 0
    assert len(reader.window(since=0, until=SECOND)) == 0
    with reader.view(window_secs=1) as window:
        assert list(window) == []


def test_slices_of_a_window_are_windows(reader):
    window = reader.snapshot()
    assert values(window[2:5]) == [2, 3, 4]
    assert values(window[-2:]) == [8, 9]
    assert values(window[::-4]) == [9, 5, 1]
    assert (window[::3].rows, window[7:3].rows, window[-1].sequence) == (4, 0, 9)
    with pytest.raises(IndexError):
        window[10]


def generations(directory, spec, *parts):
    """Rings of one stream, all closed but the last."""
    writers = []
    for numbers in parts:
        if writers:
            writers[-1].close()
        writers.append(create(directory, spec))
        fill(writers[-1], numbers)
    return writers


def test_a_window_reaches_into_earlier_generations(tmp_path, scalar_spec):
    writers = generations(tmp_path, scalar_spec, range(3), range(3, 6), range(6, 9))
    with attach("scalar", directory=tmp_path) as stream:
        assert values(stream.snapshot()) == list(range(9))
        assert values(stream.window(4)) == [4, 5, 6, 7, 8]
        assert values(stream.window(since=SECOND, until=7 * SECOND)) == [1, 2, 3, 4, 5, 6]
        window = stream.window(since=2 * SECOND)
        assert window.generations == tuple(writer.generation for writer in writers)
        assert (window.rows, window.gaps) == (7, ())
        assert values(window[1:5]) == [3, 4, 5, 6]
        assert window.times().tolist() == [n * SECOND for n in range(2, 9)]
        with stream.view(window_secs=4) as seen:
            assert values(seen) == [4, 5, 6, 7, 8]
            assert seen.to_arrow().column("x").to_pylist() == [4, 5, 6, 7, 8]
    writers[-1].close()


def test_what_was_overwritten_between_generations_is_a_gap(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec) as first:
        fill(first, range(3))
    with create(tmp_path, scalar_spec, 4096) as second:
        fill(second, range(3, 103))
        with attach("scalar", directory=tmp_path) as stream:
            window = stream.snapshot()
            oldest = stream.statistics().oldest_sequence
    assert values(window) == [0, 1, 2, *range(3 + oldest, 103)]
    assert window.gaps == ((second.generation, oldest, oldest),)


def test_the_newest_row_may_be_in_an_earlier_generation(tmp_path, scalar_spec):
    writers = generations(tmp_path, scalar_spec, range(5), [])
    with attach("scalar", directory=tmp_path) as stream:
        assert values(stream.window(1)) == [3, 4]
        assert stream.latest() is None
    writers[-1].close()


def test_other_channels_are_not_joined(tmp_path, scalar_spec):
    with create(tmp_path, StreamSpec("scalar", "rows", (Channel("y", "int64"),))) as other:
        other.append(0, 0)
    with create(tmp_path, scalar_spec) as writer:
        fill(writer, [1, 2])
        with attach("scalar", directory=tmp_path) as stream:
            assert values(stream.snapshot()) == [1, 2]


def test_made_up_rows_are_not_joined_to_measured_ones(tmp_path, scalar_spec):
    with create(tmp_path, StreamSpec("scalar", "rows", scalar_spec.channels, simulated=True)) as w:
        fill(w, [0])
    with create(tmp_path, scalar_spec) as writer:
        fill(writer, [1])
        with attach("scalar", directory=tmp_path) as stream:
            assert values(stream.snapshot()) == [1]


def test_a_removed_generation_is_left_out(tmp_path, scalar_spec):
    writers = generations(tmp_path, scalar_spec, range(3), range(3, 6))
    with attach("scalar", directory=tmp_path) as stream:
        assert values(stream.snapshot()) == list(range(6))
        writers[0].path.unlink()
        assert values(stream.snapshot()) == [3, 4, 5]
    with pytest.raises(ClosedStreamError):
        stream.snapshot()
    writers[-1].close()


def test_a_view_over_generations_is_verified(tmp_path, scalar_spec):
    with create(tmp_path, scalar_spec) as first:
        fill(first, range(3))
    with create(tmp_path, scalar_spec, 4096) as second:
        fill(second, range(3, 6))
        with attach("scalar", directory=tmp_path) as stream:
            view = stream.view(since=0)
            assert len(view.__enter__()) == 6
            fill(second, range(6, 106))
            with pytest.raises(OverrunError) as caught:
                view.__exit__(None, None, None)
        assert caught.value.lost_records == second.statistics().oldest_sequence


def test_statistics_tell_rate_and_reach(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, capacity_bytes=4096)
    reader = StreamReader.open(writer.path)
    empty = reader.statistics()
    assert (empty.held_rows, empty.held_secs) == (0, 0.0)
    assert (empty.rows_per_sec, empty.bytes_per_sec, empty.full_secs) == (None, None, None)
    fill(writer, range(100))
    found = reader.statistics()
    assert found.rows == 100
    assert found.held_rows == found.records - found.oldest_sequence
    assert found.held_secs == found.held_rows - 1
    assert found.rows_per_sec == pytest.approx(1.0)
    assert found.bytes_per_sec == pytest.approx(found.used_bytes / found.held_secs)
    assert found.full_secs == pytest.approx(4096 / found.bytes_per_sec)
